"""Pictures of a real, tiny store: predicted again from the checkpoints that the runs tested."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_store import Fake
from filled_stores import fill, first_group
from PIL import Image

from harness.data.source import open_source
from harness.errors import RequestError
from harness.registry import Components
from harness.runs.cell import run_cell
from harness.runs.request import Request
from harness.runs.sample import Sampler
from harness.store import Run, Store
from harness.variant import Variants
from reports.analysis.overview import analyse
from reports.analysis.reading import read_store
from reports.figures import sequences

VARIANTS = Variants(third_party=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    request = Request(preset="tiny", settings={"training.steps": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "harness.evaluation.cost.frames_per_second", lambda *arguments: 1.0
        )  # takes seconds, and is not needed here
        for name in ("base", "tta", "attention"):
            made, source = request.cell(VARIANTS, name, 0)
            run_cell(made, Store(root), source)
    return root


def draw(root: Path):
    (group, *_) = analyse(read_store(Store(root))).groups
    return group, *sequences.draw(Store(root), group, VARIANTS)


def test_pictures_of_every_method_and_an_animation(root: Path) -> None:
    _, drawn, notes = draw(root)
    assert notes == []
    assert [picture.id for picture in drawn] == ["sequence-best", "sequence-median", "sequence-worst", "animation"]
    for picture in drawn:
        assert "base, attention, tta" in picture.alt
    with Image.open(io.BytesIO(drawn[-1].content)) as image:
        assert image.n_frames > 1
        assert drawn[-1].mime == "image/gif"
    with Image.open(io.BytesIO(drawn[0].content)) as image:
        assert image.height > 8 * 64  # input, truth, and two rows for each of three methods


def test_sequences_shown_are_those_that_were_scored(root: Path) -> None:
    from harness.evaluation.mean import MetricMean

    group, _, _ = draw(root)
    picks = sequences.choose(Store(root), group)
    method = group.reference
    assert method is not None
    sampler = Sampler(Store(root), VARIANTS, [pick.index for pick in picks], "cpu")
    shown, truth, predicted = sampler.predict(Run(root / "runs" / method.first.run_id))
    for pick in picks:
        mean = MetricMean()
        mean.update(predicted[pick.index][None], truth[pick.index][None, shown:])
        assert mean.overall()["ssim"] == pytest.approx(pick.ssim, abs=1e-5)
    settings = Request(preset="tiny").experiment(VARIANTS, "base").data
    whole = np.concatenate([frames.numpy() for frames in open_source(settings).test(8, "cpu")])
    for pick in picks:
        np.testing.assert_array_equal(whole[pick.index], truth[pick.index].numpy())


def test_a_missing_or_damaged_checkpoint_is_named_and_the_others_are_drawn(root: Path, tmp_path: Path) -> None:
    store = Store(shutil.copytree(root, tmp_path / "store"))
    group, *_ = draw(store.root)
    by_name = {method.label: method.first for method in group.methods}
    for path in store.training_of(Run(store.root / "runs" / by_name["attention"].run_id)).path.glob("best-*"):
        path.write_bytes(b"not a checkpoint")
    _, drawn, notes = draw(store.root)
    assert len(drawn) == 4
    assert "attention" not in drawn[0].alt
    assert len(notes) == 1
    assert notes[0].startswith("attention: ")


def test_without_the_plugin_a_method_is_named_and_left_out(root: Path) -> None:
    class Nothing:
        class components:
            @staticmethod
            def find(slot: str, name: str) -> type:
                if name == "attention":
                    raise RequestError(f"unknown component {name!r}")
                return Components(third_party=False).find(slot, name)

    (group, *_) = analyse(read_store(Store(root))).groups
    drawn, notes = sequences.draw(Store(root), group, Nothing())  # type: ignore[arg-type]
    assert len(drawn) == 4
    assert len(notes) == 1
    assert "install its plugin" in notes[0]


def test_other_digits_are_said_not_drawn(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DIGITS", str(tmp_path / "nowhere"))
    _, drawn, notes = draw(root)
    assert drawn == []
    assert len(notes) == 3
    assert "nowhere" in notes[0]


def test_sequences_are_chosen_by_rule(tmp_path: Path) -> None:
    scores = [[0.5, 0.9, 0.1, 0.7, 0.6], [0.5, 0.7, 0.3, 0.9, 0.6]]
    for seed, values in enumerate(scores):
        fill(tmp_path, names=("base",), seeds=(seed,), fake=Fake(sequences=values))
    fill(tmp_path, names=("attention",), seeds=(0, 1))
    picks = {
        pick.rule: (pick.index, round(pick.ssim, 6)) for pick in sequences.choose(Store(tmp_path), first_group(tmp_path))
    }
    assert picks == {"best": (1, 0.8), "median": (4, 0.6), "worst": (2, 0.2)}
