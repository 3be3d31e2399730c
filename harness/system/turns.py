"""Threads that work one at a time, each with torch's global switches as it set them.

A GPU works while the host does something else, so several trainings whose steps are short keep it busier from one process than
one does. What a training sets for the whole process (precision, determinism, the seed of a step, the capture of a graph) must
not meet another's: therefore one thread works until it passes the turn on, as trainings do once a step, and finds its switches
again when the turn comes back. What torch keeps for each thread (autocast, gradients on or off, the current stream) needs nothing.
"""

from __future__ import annotations

import threading
from collections import deque


class Turn:
    """A thread's turn. This one is of a thread that works alone: nothing waits."""

    def pass_on(self) -> None:
        """Lets every thread that waits work once. Torch's generators are not put back: draw nothing after it without seeding."""

    def leave(self) -> None:
        """Ends the turn, for a thread that ends or waits for something else."""

    def join(self) -> None:
        """Waits for the turn, unless this thread has it."""


ALONE = Turn()


class Turns:
    """The turns of several threads, first come, first served."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[threading.Event] = deque()
        self.taken = False

    def new(self) -> Turn:
        """A turn for one more thread, which starts with the switches of now."""
        return _Shared(self)


class _Shared(Turn):
    def __init__(self, turns: Turns) -> None:
        from harness.system.precision import switches

        self._turns, self._has, self._switches = turns, False, switches()

    def pass_on(self) -> None:
        turns, mine = self._turns, threading.Event()
        with turns.lock:
            if not turns.waiting:
                return
            turns.waiting.append(mine)
            self._give(turns.waiting.popleft())
        self._wait(mine)

    def leave(self) -> None:
        with self._turns.lock:
            if self._has:
                self._give(self._turns.waiting.popleft() if self._turns.waiting else None)

    def join(self) -> None:
        if self._has:
            return
        mine = threading.Event()
        with self._turns.lock:
            if self._turns.taken:
                self._turns.waiting.append(mine)
            else:
                self._turns.taken = True
                mine.set()
        self._wait(mine)

    def _give(self, event: threading.Event | None) -> None:
        from harness.system.precision import switches

        self._has, self._switches = False, switches()
        if event is None:
            self._turns.taken = False
        else:
            event.set()

    def _wait(self, mine: threading.Event) -> None:
        from harness.system.precision import put_back

        mine.wait()
        self._has = True
        put_back(self._switches)
