"""Batches in parts that fit into memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from measured import Mirror, scored, sequences
from torch import Tensor

from harness.evaluation.baselines import BASELINES
from harness.evaluation.micro_batches import MicroBatcher


def test_memory_that_runs_out_makes_smaller_parts_for_all() -> None:
    class Small(Mirror):
        def forward(self, frames: Tensor, horizon: int) -> Tensor:
            if len(frames) > 2:
                raise torch.OutOfMemoryError("full")
            return super().forward(frames, horizon)

    frames, notes = sequences(), []
    whole = scored({"model": Mirror(), **BASELINES}, frames)
    parts = scored({"model": Small(), **BASELINES}, frames, micro_batches=MicroBatcher(3, True, notes.append))
    assert len(notes) == 1
    for name, mean in whole.items():
        assert parts[name].overall() == pytest.approx(mean.overall(), rel=1e-6)
        assert len(parts[name].per_sequence("ssim")) == 5


def parts_of(count: int, fits: int, **options: Any) -> tuple[list[int], list[float], MicroBatcher]:
    """Sizes that were tried, answers in order, and the batcher, where so many sequences fit into memory."""
    tried: list[int] = []
    batcher = MicroBatcher(**options)

    def work(some: Tensor) -> list[float]:
        tried.append(len(some))
        if len(some) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [float(one) for one in some]

    return tried, [one for part in batcher.each([], torch.arange(float(count)), work) for one in part], batcher


def test_a_batch_is_worked_on_in_parts_in_order() -> None:
    tried, answers, _ = parts_of(7, 9, at_once=3)
    assert tried == [3, 3, 1]
    assert answers == list(range(7))


def test_parts_are_halved_until_they_fit_and_stay_so() -> None:
    notes: list[str] = []
    tried, answers, batcher = parts_of(10, 3, at_once=16, auto=True, note=notes.append)
    assert tried == [10, 5, 3, 3, 3, 1]
    assert answers == list(range(10))
    assert batcher.at_once == 3
    assert [note.split(": ")[1].split(" sequences")[0] for note in notes] == ["from now on 5 of 10", "from now on 3 of 10"]


@pytest.mark.parametrize("options", [{"at_once": 4}, {"at_once": 4, "auto": True}], ids=["not allowed", "one does not fit"])
def test_memory_that_is_too_small_is_the_users_to_know(options: dict[str, Any]) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        parts_of(4, 0, **options)


def test_another_error_is_not_taken_for_lack_of_memory() -> None:
    def work(some: Tensor) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        list(MicroBatcher(4, auto=True).each([], torch.zeros(4), work))
