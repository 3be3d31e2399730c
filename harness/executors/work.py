"""The one loop that keeps an executor's slots filled: of plans and of a study's confirmation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from harness.executors.protocol import Executor, Task
from harness.runs.job import Done

Item = TypeVar("Item")


def work(
    executor: Executor,
    take: Callable[[Collection[Item]], tuple[Item, Task] | None],
    stop: Callable[[], bool],
    wait: float = 0.2,
) -> Iterator[tuple[Item, Done]]:
    """Runs tasks until there is none to take and none under way; yields each item with its answer.

    Args:
        take: the next item and its task, given the items under way; None if none can start now.
        stop: asked before items are taken. Once true, those under way are told to stop and no more are taken.
        wait: the longest time between two calls of `stop`, in seconds.
    """
    under_way: dict[int, Item] = {}
    stopping = False
    while True:
        if not stopping and stop():
            stopping = True
            for ticket in under_way:
                executor.stop(ticket)
        while not stopping and len(under_way) < executor.slots and (found := take(under_way.values())) is not None:
            item, task = found
            under_way[executor.submit(task)] = item
        if not under_way:
            return
        for ticket, done in executor.done(wait):
            yield under_way.pop(ticket), done
