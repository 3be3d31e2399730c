"""The rehearsal finds what does not fit before a cell is trained, at the experiment's own length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn
from trainings import cell_of

from harness.component import Component
from harness.errors import RequestError
from harness.runs.cell import run_cell
from harness.runs.smoke_test import smoke_test
from harness.store import Store

SEEN: list[tuple[int, ...]] = []


class Looks(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        SEEN.append(tuple(features.shape[:2]))
        if features.shape[1] > 4:
            raise RequestError("this component takes at most 4 frames")
        return features


@dataclass(frozen=True)
class Looking(Component):
    """Sees how many frames there are."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "looking"

    def build(self, channels: int) -> nn.Module:
        return Looks()


def test_it_rehearses_with_the_real_number_of_frames() -> None:
    cell, source = cell_of({"architecture.bottleneck": Looking(), "data.input_frames": 5, "data.horizon": 4})
    SEEN.clear()
    smoke_test(cell.experiment, source)
    assert SEEN == [(1, 4)]


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    cell, source = cell_of({"architecture.bottleneck": Looking(), "data.horizon": 5})
    with pytest.raises(RequestError, match="at most 4 frames"):
        run_cell(cell, Store(tmp_path), source)
    assert not list(tmp_path.rglob("*.json"))
