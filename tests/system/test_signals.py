"""A signal is a request to stop, with time to save the state, and an end to that time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from harness.system import signals
from harness.system.signals import Terminated, ends_within, exit_code, stop_signals

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _unheard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No signal of another test is remembered, nor this one's afterwards; Ctrl-C is heard, in the background too."""
    monkeypatch.setattr(signals, "_received", None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_signal_asks_to_stop_and_a_second_ctrl_c_stops_at_once() -> None:
    before = [signal.getsignal(number) for number in BOTH]
    with stop_signals() as stop:
        assert not stop.is_set()
        send(signal.SIGINT)
        assert stop.is_set()
        send(signal.SIGTERM)  # from the parent of a child that got Ctrl-C from the terminal: one request
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert [signal.getsignal(number) for number in BOTH] == before
    assert exit_code() == 130, "the first one counts"


def test_elsewhere_than_in_the_main_thread_its_event_is_given() -> None:
    found: list[threading.Event] = []

    def elsewhere() -> None:
        with stop_signals() as stop:
            found.append(stop)

    def run() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    with stop_signals() as stop:
        run()
    run()
    assert found[0] is stop
    assert not found[1].is_set()
    assert found[1] is not stop


@pytest.mark.parametrize(
    ("number", "kind", "code"), [(signal.SIGTERM, Terminated, 143), (signal.SIGINT, KeyboardInterrupt, 130)]
)
def test_where_nothing_waits_for_it_a_signal_ends_the_work(number: int, kind: type[BaseException], code: int) -> None:
    before = [signal.getsignal(one) for one in BOTH]
    with pytest.raises(kind), ends_within(60):
        send(number)
    assert exit_code() == code
    assert [signal.getsignal(one) for one in BOTH] == before
    assert signals._timer is not None
    signals._timer.join(5)
    assert not signals._timer.is_alive(), "a command that ended in time is not waited for"


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup starts a command
    try:
        with ends_within(60):
            send(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_work_that_does_not_stop_in_time_is_left() -> None:
    code = (
        "import os, signal, time\n"
        "from harness.system.signals import ends_within, stop_signals\n"
        "with ends_within(0.2), stop_signals():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 143
    assert done.stderr.startswith("stopped: no step ended within 0.2 s; the state saved last is kept")
