"""Which finished runs were read and found whole, so that a plan of ten thousand cells starts again at once.

A mark holds the state (size, time, number) of the files that were read, and what they were found to answer. Files in another state,
or another question, are read again. The marks lie outside the store, in the user's cache, and may be deleted at any time.
"""

from __future__ import annotations

import json
from contextlib import suppress

from harness.experiment import canonical_json
from harness.store.formats import FORMAT
from harness.store.index import cache_file, signature
from harness.store.merge import RECORDS
from harness.store.store import Store
from harness.system import files
from harness.version import __version__

_PROGRAM = f"{__version__}, format {FORMAT}, marks 1"


class Marks:
    """The marks of one store. `question` says what a run was found to answer: its metrics and the source that made it."""

    def __init__(self, store: Store) -> None:
        self._file = cache_file(store, "marks")
        self._runs, self._trainings = store.part("runs"), store.part("trainings")
        self._kept: dict[str, list[object]] = {}
        self._changed = False
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # it is made again
            body = json.loads(self._file.read_bytes())
            if body["program"] == _PROGRAM:
                self._kept = dict(body["marks"])

    def has(self, run_id: str, training_key: str, question: str) -> bool:
        """Whether the run's files are those that were found to answer the question."""
        return run_id in self._kept and self._kept[run_id] == [question, *self._state(run_id, training_key)]

    def put(self, run_id: str, training_key: str, question: str) -> None:
        """Marks a finished run; one that lacks a file gets no mark."""
        state = self._state(run_id, training_key)
        if -1 not in state:
            self._kept[run_id] = [question, *state]
            self._changed = True

    def save(self) -> None:
        """Writes what changed; marks that cannot be written are not there the next time."""
        if self._changed:
            self._changed = False
            with suppress(OSError, ValueError):
                files.write(self._file, canonical_json({"program": _PROGRAM, "marks": self._kept}).encode())

    def _state(self, run_id: str, training_key: str) -> list[int]:
        return [
            *signature(f"{self._runs}/{run_id}", RECORDS["runs"]),
            *signature(f"{self._trainings}/{training_key}", RECORDS["trainings"][:1]),
        ]
