"""Ideas that people ablate, each tried at preset tiny as a plugin's author would: by settings, or by a file of their own.

Each test is named after its row of the list of sixteen.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import harness
from harness.results import Results
from harness.runs.cell import run_cell
from harness.runs.request import Request
from harness.store import Store
from harness.variant import Variants

pytestmark = pytest.mark.usefixtures("quick")

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from torch import nn
from harness.component import Component, setting
from harness.variant import Variant
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Runs a variant with settings, and a plugin's text if there is one, through `harness run`'s own way."""

    def call(settings: dict[str, object] | None = None, variant: str = "base", plugin: str = "") -> dict[str, Any]:
        files = []
        if plugin:
            files = [tmp_path / "mine.py"]
            files[0].write_text(HEAD + plugin)
        request = Request(preset="tiny", settings=settings)
        cell, source = request.cell(Variants(files=files, third_party=False), variant)
        outcome = run_cell(cell, Store(tmp_path / "store"), source)
        assert outcome.result["status"] == "finished"
        assert math.isfinite(outcome.result["metrics"]["mse"])
        assert outcome.result["training"]["skipped_steps"] == 0
        return outcome.result

    return call


def weights(tmp_path: Path, result: dict[str, Any]) -> dict[str, torch.Tensor]:
    folder = tmp_path / "store" / "trainings" / result["training_key"]
    return load_file(next(folder.glob("best-*.safetensors")))


def test_01_convgru_cell(run: Any) -> None:
    assert run({"architecture.cell": "convgru"})["params"] < run()["params"]


def test_02_predrnn_memory_across_layers(run: Any) -> None:
    assert run(variant="predrnn")["params"] > 0


def test_03_simvp_all_frames_at_once(run: Any) -> None:
    plugin = '''
@dataclass(frozen=True, kw_only=True)
class Mixer(Component):
    """All input frames at once to all frames to predict, by one convolution."""
    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "mixer"

    def build(self, shape, seed):
        class Network(nn.Conv2d):
            def forward(self, frames, horizon):
                made = super().forward(frames.flatten(1, 2))
                return made.unflatten(1, (shape.horizon, shape.channels))[:, :horizon]
        return Network(shape.input_frames * shape.channels, shape.horizon * shape.channels, 5, padding=2)

MIXER = Variant(name="mixer", summary="one convolution", source="a test", changes={"architecture": Mixer()})
'''
    assert run(variant="mixer", plugin=plugin)["params"] == 3 * 3 * 25 + 3
    assert run(variant="simvp")["params"] > 0


def test_04_residual_to_the_last_frame(run: Any) -> None:
    residual, plain = run({"architecture.head": "last-frame-residual"}), run()
    assert residual["params"] == plain["params"]
    assert residual["training"]["checkpoint_sha256"] != plain["training"]["checkpoint_sha256"]


def test_05_extra_loss_term(run: Any) -> None:
    plugin = '''
from harness.training.terms import LossTerm

@dataclass(frozen=True, kw_only=True)
class Energy(LossTerm):
    """Difference of the mean intensities."""
    name: ClassVar[str] = "energy"

    def compute(self, prediction, target):
        return (prediction.mean((-1, -2)) - target.mean((-1, -2))).abs().mean()
'''
    changed = run({"loss.energy": "0.5"}, plugin=plugin)
    assert changed["training"]["checkpoint_sha256"] != run()["training"]["checkpoint_sha256"]
    run({"loss.gradient-difference": "0.1"})


@pytest.mark.parametrize("name", ["sgd", "lion", "muon"])
def test_06_another_optimizer(name: str, run: Any) -> None:
    run({"training.optimizer": name})


def test_06_another_optimizer_of_ones_own(run: Any) -> None:
    plugin = '''
@dataclass(frozen=True, kw_only=True)
class Adadelta(Component):
    """torch's Adadelta."""
    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "adadelta"
    lr: float = setting(1.0, "peak learning rate", above=0)

    def build(self, named_parameters):
        return torch.optim.Adadelta([one for _, one in named_parameters], lr=self.lr)
'''
    run({"training.optimizer": "adadelta", "training.optimizer.lr": "0.5"}, plugin=plugin)


def test_07_cosine_with_warm_up(run: Any) -> None:
    run({"training.schedule": "cosine(warmup=0.2, final=0.1)"})


def test_08_average_of_the_weights_is_what_is_tested(run: Any, tmp_path: Path) -> None:
    averaged, plain = run({"training.average": "ema(decay=0.5)"}), run()
    ours, theirs = weights(tmp_path, averaged), weights(tmp_path, plain)
    assert ours.keys() == theirs.keys()
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def test_09_scheduled_sampling(run: Any) -> None:
    sampled = run({"training.feeding": "scheduled-sampling"}, variant="predrnn")
    plain = run(variant="predrnn")
    assert sampled["training"]["checkpoint_sha256"] != plain["training"]["checkpoint_sha256"]


def test_10_augmentation(run: Any) -> None:
    plugin = '''
from harness.data.augment import Augmentation

@dataclass(frozen=True, kw_only=True)
class Reverse(Augmentation):
    """Plays half of the sequences backwards."""
    name: ClassVar[str] = "reverse"

    def apply(self, frames, generator):
        chosen = torch.rand(len(frames), 1, 1, 1, 1, generator=generator) < 0.5
        return torch.where(chosen, frames.flip(1), frames)
'''
    changed = run({"data.augment": "flip,noise(std=0.1),reverse"}, plugin=plugin)
    assert changed["training"]["checkpoint_sha256"] != run()["training"]["checkpoint_sha256"]


def test_11_data_set_of_ones_own(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for index in range(12):
        np.save(folder / f"{index:02}.npy", np.random.default_rng(index).integers(0, 256, (6, 1, 16, 16), np.uint8))
    plugin = '''
import hashlib, pathlib
import numpy as np
from harness.component import CONTENT
from harness.data.source import Source

class Part:
    """Some clips, read when they are asked for."""
    def __init__(self, paths):
        self.paths, self.count, self.epoch, self.shape_CHW = paths, len(paths), len(paths), (1, 16, 16)
        said = "".join(f"{path.name} {path.stat().st_size}" for path in paths)
        self.identity = "clips:" + hashlib.sha256(said.encode()).hexdigest()
        self.origin = {"source": "clips", "digest": self.identity}

    def stored(self, start, stop):
        return np.stack([np.load(path) for path in self.paths[start:stop]])

    def tensor(self, start, stop, device):
        return torch.from_numpy(self.stored(start, stop)).to(device).float() / 255

    def batch(self, rng, seed, step, size, frames, device):
        chosen = rng.integers(0, self.count, size)
        return torch.cat([self.tensor(one, one + 1, device) for one in chosen])[:, :frames]

@dataclass(frozen=True, kw_only=True)
class Clips(Component):
    """A folder of clips, one file each."""
    slot: ClassVar[str] = "data"
    name: ClassVar[str] = "clips"
    path: str = setting("", "the folder", decides=CONTENT)
    input_frames: int = setting(3, "frames shown", at_least=1)
    horizon: int = setting(3, "frames to predict", at_least=1)

    def open(self, digits_folder=None):
        paths = sorted(pathlib.Path(self.path).glob("*.npy"))
        return Source(self, Part(paths[:8]), Part(paths[8:10]), Part(paths[10:]))
'''
    result = run({"data": f"clips(path='{folder}')"}, plugin=plugin)
    assert result["digits"]["source"] == "clips"


WORST = '''
from harness.evaluation.metrics import FrameMean

@dataclass(frozen=True, kw_only=True)
class Worst(FrameMean):
    """The largest absolute error of a frame."""
    name: ClassVar[str] = "worst"
    title: ClassVar[str] = "worst pixel"
    higher_is_better: ClassVar[bool] = False
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = 1.0
    convention = "largest absolute error of a frame, the mean over frames"

    def values(self, prediction, target):
        return (prediction - target).abs().flatten(1).amax(1)
'''


def test_12_metric_of_ones_own_is_judged_and_shown_without_its_plugin(run: Any, tmp_path: Path) -> None:
    bare = [run({"training.seed": seed}) for seed in (0, 1)]
    for variant in ("base", "tta"):
        for seed in (0, 1):
            found = run({"metrics": "worst", "training.seed": seed}, variant=variant, plugin=WORST)
            assert 0 < found["metrics"]["worst"] <= 1
            if variant == "base":  # tested again from its checkpoint, not trained again
                assert found["run_id"] == bare[seed]["run_id"]
                assert found["training"]["checkpoint_sha256"] == bare[seed]["training"]["checkpoint_sha256"]
    selected = run({"metrics": "worst", "training.select": "worst"}, plugin=WORST)
    assert selected["training"]["validation_worst"] is not None
    (tmp_path / "mine.py").unlink()
    runs = [one for one in harness.open_store(tmp_path / "store") if one.run_id != selected["run_id"]]
    (verdict,) = Results(runs).verdicts("worst", margin=0.001).to_dict("records")
    assert (verdict["variant"], verdict["seeds"]) == ("tta", 2)
    values = {name: [one.metrics["worst"] for one in runs if one.variant == name] for name in ("base", "tta")}
    assert verdict["difference"] == pytest.approx(np.mean(values["tta"]) - np.mean(values["base"]))
    text = (harness.report(tmp_path / "store", tmp_path / "report").parent / "report.md").read_text()
    assert "worst pixel" in text


def test_13_doses_without_code(run: Any) -> None:
    found = [run({"architecture.bottleneck": f"attention(heads={heads})"}) for heads in (1, 4, 8)]
    assert len({one["run_id"] for one in found}) == 3


def test_14_somebody_elses_predictions(run: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        run({"training.seed": seed})
    store = tmp_path / "store"
    about = harness.export(tmp_path / "test.npy", preset="tiny")
    shown = np.load(tmp_path / "test.npy")[:, : about["shown"]]
    files = [tmp_path / f"{seed}.npy" for seed in (0, 1)]
    for seed, path in enumerate(files):
        np.save(path, np.repeat(shown[:, -1:], about["horizon"], axis=1) * (0.5 - 0.1 * seed))
    assert all(one.scored for one in harness.score(files, "theirs", preset="tiny", store=store))
    (verdict,) = harness.open_store(store).verdicts().to_dict("records")
    assert (verdict["variant"], verdict["seeds"]) == ("theirs", 2)
    assert verdict["difference"] > 0  # six steps of training are not enough to beat a faded last frame


NOTEBOOK = '''
@dataclass(frozen=True, kw_only=True)
class Blurred(Component):
    """A convolution of each channel by itself."""
    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "blurred"
    revision: ClassVar[int] = 1
    width: int = setting(3, "side of the kernel, odd", at_least=1)

    def build(self, channels):
        return Frames(channels, channels, self.width, padding=self.width // 2, groups=channels)

class Frames(nn.Conv2d):
    def forward(self, features):
        return super().forward(features.flatten(0, 1)).unflatten(0, features.shape[:2])

MINE = Variant(name="mine", summary="s", source="here", changes={"architecture.bottleneck": Blurred()})
'''


def test_15_all_of_it_from_a_notebook(quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class and a Variant of a session, runs and verdicts as frames, and the run opened again."""
    session = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", session)
    exec(compile(HEAD + NOTEBOOK, "a cell", "exec"), vars(session))
    mine, kind = vars(session)["MINE"], vars(session)["Blurred"]
    found = harness.ablate([mine], seeds=2, preset="tiny", store=tmp_path, progress=False)
    assert set(found.frame()["variant"]) == {"base", "mine"}
    assert list(found.verdicts()["variant"]) == ["mine"]
    again = harness.open_store(tmp_path, components=[kind])[found[1].run_id]
    assert again.experiment.get("architecture.bottleneck") == kind(width=3)
    assert sum(one.numel() for one in again.model().parameters()) == again.parameters


def test_16_dropout_freezing_pre_trained_weights_and_groups_of_parameters(run: Any, tmp_path: Path) -> None:
    plugin = '''
@dataclass(frozen=True, kw_only=True)
class Dropout(Component):
    """Dropout on the deep features."""
    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "dropout"
    p: float = setting(0.2, "share that is dropped", at_least=0, at_most=0.9)

    def build(self, channels):
        return nn.Dropout(self.p)

@dataclass(frozen=True, kw_only=True)
class TwoRates(Component):
    """AdamW with a tenth of the rate for the encoder."""
    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "two-rates"
    lr: float = setting(1e-3, "peak learning rate", above=0)

    def build(self, named_parameters):
        groups = {True: [], False: []}
        for name, parameter in named_parameters:
            groups[name.startswith("encoder.")].append(parameter)
        rates = {True: self.lr / 10, False: self.lr}
        return torch.optim.AdamW([{"params": ours, "lr": rates[key]} for key, ours in groups.items() if ours])
'''
    first = weights(tmp_path, run())
    start = next((tmp_path / "store" / "trainings").glob("*/best-*.safetensors"))
    settings = {
        "architecture.bottleneck": "dropout(p=0.5)",
        "training.optimizer": "two-rates",
        "training.start": f"file(path='{start}')",
        "training.freeze": "encoder.0.*,down.*",
    }
    ours = weights(tmp_path, run(settings, plugin=plugin))
    frozen = [name for name in first if name.startswith(("encoder.0.", "down."))]
    assert frozen
    assert all(torch.equal(ours[name], first[name]) for name in frozen)
    assert any(not torch.equal(ours[name], first[name]) for name in first.keys() - set(frozen))
