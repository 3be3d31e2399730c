"""Threads that work one at a time, in the order in which they came, each with torch's switches as it set them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from cluster import wait_for

from harness.system.turns import ALONE, Turn, Turns


@pytest.fixture
def turns() -> Turns:
    return Turns()


def working(turns: Turns, count: int, work: Callable[[int, Turn], None]) -> None:
    """Runs `work` in that many threads, which come one after the other while this thread has the turn."""
    own = turns.new()
    own.join()
    threads = []
    for number in range(count):
        turn = turns.new()

        def run(number: int = number, turn: Turn = turn) -> None:
            turn.join()
            try:
                work(number, turn)
            finally:
                turn.leave()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        wait_for(lambda number=number: len(turns.waiting) == number + 1, 10)  # type: ignore[misc]  # the default binds the loop's value
    own.leave()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    own.join()  # with the switches that it had
    own.leave()


def test_threads_take_turns_first_come_first_served(turns: Turns) -> None:
    seen: list[int] = []

    def work(number: int, turn: Turn) -> None:
        for _ in range(3):
            seen.append(number)
            turn.pass_on()

    working(turns, 3, work)
    assert seen == [0, 1, 2] * 3


def test_what_a_thread_sets_for_the_process_is_its_own(turns: Turns) -> None:
    before = torch.are_deterministic_algorithms_enabled()
    seen: dict[int, list[bool]] = {0: [], 1: []}

    def work(number: int, turn: Turn) -> None:
        torch.use_deterministic_algorithms(number == 1)
        for _ in range(2):
            turn.pass_on()
            seen[number].append(torch.are_deterministic_algorithms_enabled())

    working(turns, 2, work)
    assert seen == {0: [False, False], 1: [True, True]}
    assert torch.are_deterministic_algorithms_enabled() == before


def test_one_that_raises_leaves_its_turn_to_the_next(turns: Turns) -> None:
    seen: list[int] = []

    def work(number: int, turn: Turn) -> None:
        seen.append(number)
        if number == 0:
            turn.leave()
            turn.leave()  # twice is no harm

    working(turns, 2, work)
    assert seen == [0, 1]
    assert not turns.taken


def test_alone_nothing_waits(turns: Turns) -> None:
    for turn in (ALONE, turns.new()):
        turn.join()
        turn.join()
        turn.pass_on()
        turn.leave()
    assert not turns.taken
