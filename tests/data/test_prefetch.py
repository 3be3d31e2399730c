"""A batch made ahead of its use is the batch that would have been made."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.data import prefetch as ahead
from harness.data.prefetch import Prefetcher

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def works_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU stands in for a device that works while the host continues."""
    monkeypatch.setattr(ahead, "DEVICES", ("cpu",))


def test_a_batch_is_made_ahead_and_thrown_away_when_another_is_asked_for(works_ahead: None) -> None:
    made: list[tuple[int, int]] = []

    def make(step: int, horizon: int) -> Tensor:
        made.append((step, horizon))
        return torch.tensor([step, horizon])

    feed = Prefetcher(make, CPU)
    feed.prepare(1, 2)
    assert feed(1, 2).tolist() == [1, 2]
    assert made == [(1, 2)]
    feed.prepare(2, 2)
    assert feed(2, 3).tolist() == [2, 3]  # the horizon grew
    assert feed(2, 2).tolist() == [2, 2]
    assert made == [(1, 2), (2, 2), (2, 3), (2, 2)]


def test_what_finds_no_memory_ahead_is_made_when_it_is_asked_for(works_ahead: None) -> None:
    full = [True]

    def make(step: int) -> Tensor:
        if full.pop() if full else False:
            raise torch.OutOfMemoryError("full")
        return torch.tensor(step)

    feed = Prefetcher(make, CPU)
    feed.prepare(1)
    assert feed(1).item() == 1


def test_on_the_cpu_nothing_is_made_ahead() -> None:
    made: list[int] = []
    feed = Prefetcher(lambda step: made.append(step) or torch.zeros(1), CPU)
    feed.prepare(1)
    assert made == []
    feed(1)
    assert made == [1]
