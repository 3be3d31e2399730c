"""Single test sequences predicted again: what is drawn is what was tested, and what cannot be is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from commands import idx
from PIL import Image

from harness.data.source import open_source
from harness.errors import HarnessError, RequestError
from harness.presets import preset
from harness.runs.sample import Sampler, as_array, draw_first, draw_run
from harness.store import Run, Store
from harness.training.checkpoint import load_model
from harness.variant import Variants

TINY = preset("tiny")
VARIANTS = Variants(third_party=False)


def base(root: Path) -> Run:
    return next(run for run in Store(root).runs() if run.read("result.json")["variant"] == "base")


def sampler(root: Path, *indices: int, **options: Path) -> Sampler:
    return Sampler(Store(root), VARIANTS, indices, "cpu", **options)


def test_sequences_are_those_of_the_test_set_and_predictions_the_networks(tiny_store: Path) -> None:
    run = base(tiny_store)
    shown, sequences, predictions = sampler(tiny_store, 5, 2).predict(run)
    assert shown == TINY.data.input_frames
    assert list(predictions) == [5, 2]
    whole = torch.cat(list(open_source(TINY.data).test(8, "cpu")))
    training = Store(tiny_store).training_of(run)
    model = load_model(
        TINY, open_source(TINY.data).shape, training.check(training.read("training.json")), torch.device("cpu")
    ).eval()
    with torch.no_grad():
        expected = model(whole[:, :shown], 3)
    for index in (2, 5):
        assert torch.equal(sequences[index], whole[index])
        torch.testing.assert_close(predictions[index], expected[index], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["strip.png", "new/film.GIF"])
def test_a_drawing_has_the_ssim_that_was_tested(name: str, tiny_store: Path, tmp_path: Path) -> None:
    run = base(tiny_store)
    ssim = draw_run(Store(tiny_store), run, VARIANTS, tmp_path / name, 3, "cpu", None)
    assert ssim == pytest.approx(run.read("sequences.json")["ssim"][3], abs=1e-5)
    with Image.open(tmp_path / name) as image:
        assert getattr(image, "n_frames", 1) == (6 if name.endswith("GIF") else 1)


def test_the_strip_that_hooks_get_is_that_of_the_first_sequence(tiny_store: Path, tmp_path: Path) -> None:
    run = base(tiny_store)
    training = Store(tiny_store).training_of(run)
    checkpoint = training.check(training.read("training.json"))
    png = draw_first(TINY, open_source(TINY.data), checkpoint, "cpu")
    draw_run(Store(tiny_store), run, VARIANTS, tmp_path / "first.png", 0, "cpu", None)
    assert png == (tmp_path / "first.png").read_bytes()


@pytest.mark.parametrize(
    ("index", "out", "words"),
    [
        (8, "a.png", "--index 8; the test set has sequences 0 to 7"),
        (-1, "a.png", "--index -1;"),
        (0, "a.jpg", r"\.png .*\.gif"),
    ],
)
def test_what_cannot_be_drawn_is_refused(index: int, out: str, words: str, tiny_store: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=words):
        draw_run(Store(tiny_store), base(tiny_store), VARIANTS, tmp_path / out, index, "cpu", None)
    assert not list(tmp_path.iterdir())


def test_a_run_that_has_not_finished_its_training_says_how_to_go_on(store: Path) -> None:
    run = base(store)
    (Store(store).training_of(run).path / "training.json").unlink()
    (run.path / "result.json").unlink()
    with pytest.raises(HarnessError, match=f"`harness show {run.run_id}` says how to resume"):
        sampler(store, 0).predict(run)


def test_other_digits_than_the_runs_own_are_refused(tiny_store: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images[:24]))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images[24:]))
    with pytest.raises(RequestError, match=r"was made with other data .*name its digits with --digits"):
        sampler(tiny_store, 0, digits=tmp_path).predict(base(tiny_store))


def test_frames_to_draw_are_clamped_and_missing_values_stay_missing() -> None:
    found = as_array(torch.tensor([-1.0, 0.25, 7.0, torch.nan], dtype=torch.bfloat16, requires_grad=True))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([0, 0.25, 1, np.nan], np.float32))
