"""The smoke test finds what does not fit before a cell is trained, at the experiment's own length."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from broken_components import (
    Broken,
)
from torch import Tensor, nn
from trainings import cell_of, train

from harness.component import Component
from harness.errors import RequestError
from harness.runs.cell import run_cell
from harness.runs.job import Job
from harness.runs.request import Request
from harness.runs.smoke_test import smoke_test
from harness.store import Store

SEEN: list[tuple[int, ...]] = []


class Looks(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        SEEN.append(tuple(features.shape[:2]))
        if features.shape[1] > 4:
            raise RequestError("this component takes at most 4 frames")
        return features


@dataclass(frozen=True, kw_only=True)
class Looking(Component):
    """Sees how many frames there are."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "looking"

    def build(self, channels: int) -> nn.Module:
        return Looks()


def test_it_runs_with_the_real_number_of_frames() -> None:
    cell, source = cell_of({"architecture.bottleneck": Looking(), "data.input_frames": 5, "data.horizon": 4})
    SEEN.clear()
    smoke_test(cell.experiment, source)
    assert set(SEEN) == {(1, 4)}


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    cell, source = cell_of({"architecture.bottleneck": Looking(), "data.horizon": 5})
    with pytest.raises(RequestError, match="at most 4 frames"):
        run_cell(cell, Store(tmp_path), source)
    assert not list(tmp_path.rglob("*.json"))


def test_what_draws_in_training_mode_alone_passes() -> None:
    smoke_test(*_of(cell_of({"architecture": Broken(kind="Dropping")})))


def _of(pair: Any) -> tuple[Any, Any]:
    return pair[0].experiment, pair[1]


def test_it_changes_no_random_state_and_no_result(tmp_path: Path) -> None:
    cell, source = cell_of()
    before = random.getstate(), np.random.get_state(legacy=True)[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    smoke_test(cell.experiment, source)
    after = random.getstate(), np.random.get_state(legacy=True)[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    assert after == before
    tried, _ = train(cell, source, tmp_path / "one")
    cell, source = cell_of()
    plain, _ = train(cell, source, tmp_path / "two")
    assert tried["checkpoint_sha256"] == plain["checkpoint_sha256"]


@pytest.mark.parametrize(
    "settings",
    [
        {"training.optimizer": "muon", "training.average": "ema", "data.augment": "noise,rotate,flip"},
        {"architecture": "predrnn-v2(layers=2,hidden=4,kernel=3,patch=2)", "training.feeding": "scheduled-sampling"},
        {"architecture": "simvp(hidden=4,translator_width=16,blocks=2,expansion=2)", "training.optimizer": "lion"},
        {"architecture.cell": "convgru", "training.optimizer": "sgd", "loss": "bce,temporal-difference", "loss.mae": 1},
        {"training.freeze": "encoder.*", "training.curriculum": "growing-horizon", "training.batch_size": 1},
    ],
    ids=lambda one: next(iter(one.values())),
)
def test_built_in_components_pass(settings: dict[str, object]) -> None:
    smoke_test(*_of(cell_of(settings)))


PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar
from harness.component import Component
from harness.variant import Variant

@dataclass(frozen=True, kw_only=True)
class Mine(Component):
    """Divides by zero."""
    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "mine"

    def build(self, channels):
        return 1 / 0

MINE = Variant(name="mine", summary="wrong", source="made up", changes={"architecture.bottleneck": Mine()})
'''


def test_a_broken_plugin_is_named_by_its_file_and_stops_no_other(tmp_path: Path, quick: None) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    request = Request(preset="tiny")
    jobs = [Job(request=request, variant=one, seed=0, store=tmp_path / "s", plugins=(plugin,)) for one in ("mine", "base")]
    broken, fine = (job.run() for job in jobs)
    assert broken.error is not None
    assert broken.error.startswith(f"architecture.bottleneck=mine ({plugin})")
    assert "ZeroDivisionError" in broken.error
    assert fine.error is None
