"""Calls the hooks of a run from threads of their own, so that no hook can hold up, change or end a training."""

from __future__ import annotations

import copy
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

from harness.errors import Interrupted
from harness.hooks import NO_HOOKS, Hook, RunInfo, find_hooks
from harness.notation import flatten
from harness.options import RunOptions
from harness.runs.context import Context
from harness.store import Cell, Store, Training

if TYPE_CHECKING:
    from harness.data.source import Source

WAITING = 1000
"""Events that may wait for a hook; more are dropped, and counted."""
GRACE = 10.0
"""Seconds that all hooks together get at the end of a run for the events that still wait."""
GRACE_OF_STOPPED = 1.0
"""The same when the run is told to stop: a scheduler kills soon (see `harness.system.signals`)."""


class Relay:
    """One hook and its thread. `note` hears of the first failure, and at the end of what was lost."""

    def __init__(self, name: str, make: Callable[[], Hook], note: Callable[[str], None]) -> None:
        self.name, self._make, self._note = name, make, note
        self._events: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue(WAITING)
        self._dropped = self._failed = 0
        self._thread = threading.Thread(target=self._serve, name=f"hook {name}", daemon=True)
        self._thread.start()

    def send(self, method: str, arguments: tuple[Any, ...], wait: float = 0.0) -> None:
        """Puts an event into the queue; when that is full, waits `wait` seconds and then drops the event."""
        try:
            self._events.put((method, copy.deepcopy(arguments)), block=wait > 0, timeout=wait or None)
        except queue.Full:
            self._dropped += 1

    def close(self, ends: float) -> None:
        """Waits for the hook until the monotonic time `ends`, then leaves it behind."""
        with suppress(queue.Full):
            self._events.put(None, timeout=max(0.0, ends - time.monotonic()))
        self._thread.join(max(0.0, ends - time.monotonic()))
        lost = self._dropped + (self._events.qsize() if self._thread.is_alive() else 0)
        if self._thread.is_alive():
            self._note(f"hook {self.name} is left behind: it did not end in time; the run is not harmed")
        if lost:
            self._note(f"hook {self.name} was too slow: {lost} events were lost; the store has all of them")
        if self._failed > 1:
            self._note(f"hook {self.name} failed {self._failed} times")

    def _serve(self) -> None:
        hook: Hook | None = None
        while (event := self._events.get()) is not None:
            method, arguments = event
            try:
                hook = hook or self._make()
                getattr(hook, method)(*arguments)
            except BaseException as error:  # another author's code, SystemExit included: it must end nothing but itself
                self._failed += 1
                if self._failed == 1:
                    self._note(
                        f"hook {self.name} failed in `{method}`: {type(error).__name__}: {error}; the run is not harmed"
                    )


class Relays(Hook):
    """Several hooks as one."""

    def __init__(self, relays: list[Relay]) -> None:
        self._relays = relays

    def start(self, run: RunInfo) -> None:
        """Passed on, as all others are."""
        self._send("start", run)

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Passed on."""
        self._send("step", step, values)

    def validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Passed on."""
        self._send("validation", step, metrics)

    def picture(self, name: str, step: int, png: bytes) -> None:
        """Passed on."""
        self._send("picture", name, step, png)

    def end(self, result: Mapping[str, Any]) -> None:
        """Passed on, and waited for."""
        self._send("end", result, wait=GRACE / 2)

    def stop(self, reason: str) -> None:
        """Passed on, and waited for."""
        self._send("stop", reason, wait=GRACE_OF_STOPPED / 2)

    def failure(self, error: str) -> None:
        """Passed on, and waited for."""
        self._send("failure", error, wait=GRACE / 2)

    def close(self, grace: float) -> None:
        """Gives all hooks together `grace` seconds for what waits."""
        ends = time.monotonic() + grace
        for relay in self._relays:
            relay.close(ends)

    def _send(self, method: str, *arguments: Any, wait: float = 0.0) -> None:
        for relay in self._relays:
            relay.send(method, arguments, wait)


@contextmanager
def hooked(cell: Cell, store: Store, options: RunOptions, note: Callable[[str], None]) -> Iterator[Hook]:
    """The hooks of `options` around the work of one run: they hear its start and, where it raises, of the stop or the failure.

    Raises RequestError for a hook that cannot be found.
    """
    if not (found := find_hooks(options.hooks or ())):
        yield NO_HOOKS
        return
    # Whatever the run needs is imported before the hooks' threads begin: of two threads that import torch at once, both can fail.
    import harness.runs.result
    import harness.runs.sample
    import harness.runs.smoke_test
    import harness.training.loop  # noqa: F401

    grace = GRACE
    # What a tracker prints must not stand between the lines of a document; stdout cannot be another one in its thread alone.
    with redirect_stdout(sys.stderr):
        hooks = Relays([Relay(name, make, note) for name, make in found.items()])
        hooks.start(_info(cell, store))
        try:
            yield hooks
        except (Interrupted, KeyboardInterrupt) as error:
            grace = GRACE_OF_STOPPED
            hooks.stop(str(error) or "interrupted")
            raise
        except Exception as error:  # whatever it is: hooks hear of it, and it is raised again
            hooks.failure(str(error) or type(error).__name__)
            raise
        finally:
            hooks.close(grace)


def _info(cell: Cell, store: Store) -> RunInfo:
    return RunInfo(
        run_id=cell.run_id,
        training_key=cell.training_key,
        arm=cell.variant,
        seed=cell.seed,
        preset=cell.preset,
        settings=flatten(cell.experiment.to_dict()),
        store=store.root.absolute(),
        resumed=store.training(cell).has("last.safetensors"),
    )


def picture(
    cell: Cell, training: Training, summary: Mapping[str, Any], source: Source, context: Context, hooks: Hook
) -> None:
    """Shows the hooks the first test sequence with its prediction. What fails is noted: the run is finished already."""
    from harness.runs.sample import draw_first

    try:
        drawn = draw_first(cell.experiment, source, training.check(summary), context.device)
    except Exception as error:  # no picture is worth a run
        context.note(f"no picture of {cell.variant} seed {cell.seed}: {error}")
        return
    hooks.picture("test sequence 0", int(summary["steps"]), drawn)
