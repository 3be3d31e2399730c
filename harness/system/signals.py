"""SIGINT and SIGTERM as a request to stop, with time to save the state, and an end to that time.

Schedulers send SIGTERM some seconds before they kill. A command saves its state between two steps; where a step, an evaluation or
a slow disk takes too long for that, it exits with the state saved last, which is whole.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

GRACE = 4.5
"""Seconds between the signal and the end of a command."""
GRACE_OF_CHILDREN = 3.8
"""The same for its child processes, which must end before it."""
GOING_ON = "what is finished is in the store, run the same command again to resume"

_stop: threading.Event | None = None
_received: int | None = None
_grace: float | None = None
_timer: threading.Timer | None = None


class Terminated(KeyboardInterrupt):
    """SIGTERM where nothing waits for it: it ends the work at once, as Ctrl-C does."""


def exit_code() -> int:
    """The exit code of a command that was stopped: 143 after SIGTERM, else 130."""
    return 128 + (_received or signal.SIGINT)


@contextmanager
def ends_within(grace: float) -> Iterator[None]:
    """Around the work of a command, or of its child: SIGTERM raises Terminated, and the process ends `grace` seconds later.

    Not for libraries. Only the main thread can handle signals; elsewhere nothing is changed.
    """
    global _grace, _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _raise) for number in numbers}
    _grace, _received = grace, None
    try:
        yield
    finally:
        if _timer is not None:
            _timer.cancel()
        _grace = None
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set. A second Ctrl-C stops at once; the handlers are as before afterwards.

    A child gets SIGINT from the terminal and then SIGTERM from its parent: that is one request, not two. Only the main thread can
    handle signals; elsewhere the event is that of the main thread while it has one, else never set.
    """
    global _stop
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield _stop or stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        _hear(number)
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    outer, _stop = _stop, stop
    try:
        yield stop
    finally:
        _stop = outer
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    _hear(number)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _hear(number: int) -> None:
    """Remembers the first signal, and makes the process end in time."""
    global _received, _timer
    if _received is None:
        _received = number
        if _grace is not None:
            _timer = threading.Timer(_grace, _leave)
            _timer.daemon = True
            _timer.start()


def _leave() -> None:
    # As safe as `kill -9`, which everything here survives.
    with suppress(Exception):
        sys.stderr.write(f"stopped: no step ended within {_grace:g} s; the state saved last is kept, and {GOING_ON}\n")
        sys.stderr.flush()
    os._exit(exit_code())
