"""The loop that keeps an executor's slots filled."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from study_cells import AtOnce

from harness.executors.work import work
from harness.runs.job import Done


@dataclass(frozen=True)
class Task:
    run_id: str
    threads: int = 0

    def progress(self) -> int:
        return 0

    def run(self) -> Done:
        return Done(self.run_id)


class Items:
    """Names to run, in order; two names with one first letter never run at once."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def take(self, under_way: Collection[str]) -> tuple[str, Task] | None:
        for name in self.names:
            if not any(name[0] == other[0] for other in under_way):
                self.names.remove(name)
                return name, Task(name)
        return None


def answers(items: Items, executor: AtOnce, stop: Iterator[bool] | None = None) -> list[tuple[str, Done]]:
    asked = (lambda: False) if stop is None else lambda: next(stop)
    return list(work(executor, items.take, asked))


def test_every_item_is_answered_once_and_no_more_run_than_there_are_slots() -> None:
    executor = AtOnce(slots=2)
    found = answers(Items("a", "b", "c", "d", "e"), executor)
    assert [(item, done.run_id) for item, done in found] == [(name, name) for name in "abcde"]
    assert executor.most == 2


def test_an_item_that_cannot_start_now_starts_later() -> None:
    executor = AtOnce(slots=3)
    assert [item for item, _ in answers(Items("a1", "a2", "b1", "a3"), executor)] == ["a1", "b1", "a2", "a3"]
    assert executor.most == 2


def test_told_to_stop_it_stops_what_is_under_way_and_takes_no_more() -> None:
    executor, items = AtOnce(slots=2), Items("a", "b", "c", "d")
    found = answers(items, executor, iter([False, True]))  # asked before the first items, and after the first answer
    assert [(item, done.stopped) for item, done in found] == [("a", False), ("b", True)]
    assert items.names == ["c", "d"]


def test_stopped_before_it_began_it_runs_nothing() -> None:
    items = Items("a")
    assert answers(items, AtOnce(), iter([True])) == []
    assert items.names == ["a"]


def test_of_nothing_to_do_nothing_comes() -> None:
    assert answers(Items(), AtOnce()) == []
