"""A short row for every run of a store, from a cache of the user's own, so that a store of ten thousand lists at once.

Rows of finished and failed runs are kept with size, time and number of the files that they were read from; what differs from that
is read again, and everything else is read always. The cache lies outside the store, may be deleted at any time, and is believed
by listings alone: reports, answers from the store and `harness doctor` read the records themselves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.experiment import canonical_json
from harness.notation import flatten
from harness.store import packs, status
from harness.store.formats import FORMAT
from harness.store.identity import key_of
from harness.store.store import Store
from harness.system import files
from harness.version import __version__

Row = dict[str, Any]
"""run_id, status, reason, variant, preset, seed, training_key, changes, metrics, params, seconds, steps, settings by path."""
MANY = 200
"""Runs from which a cache is worth its file: so many are read in a quarter of a second."""
_FILES = ("experiment.json", "result.json", "failure.json")
_PROGRAM = f"{__version__}, format {FORMAT}, rows 1"


def rows(store: Store) -> Iterator[Row]:
    """Every run, finished or not, in the order of `harness.store.status.scan`, damaged ones with the reason."""
    runs = list(store.runs())
    kept = Cache(store) if len(runs) >= MANY else None
    seen: set[str] = set()
    for run in runs:
        files_now = signature(run.path, _FILES)
        row = kept.get(run.run_id, files_now) if kept else None
        if row is None:
            row = _row(status.of_run(store, run))
            if kept and row["status"] in ("finished", "failed"):
                kept.put(run.run_id, files_now, row)
        seen.add(run.run_id)
        if row["status"] == "finished" and "~" not in run.run_id:
            seen.add(str(row["training_key"]))
        yield row
    if kept:
        kept.save({run.run_id for run in runs})
    yield from map(_row, status.begun(store, seen))


def _row(one: status.Standing) -> Row:
    made, result = one.record, one.result
    row: Row = {"run_id": one.run_id, "status": one.status, "reason": one.reason}
    row |= {name: made.get(name) for name in ("variant", "preset", "seed", "training_key", "changes")}
    experiment = made.get("experiment")
    row["settings"] = flatten(experiment) if isinstance(experiment, Mapping) else {}
    row |= {"metrics": {}, "params": None, "seconds": None, "steps": None}
    strange = [name for name in ("variant", "preset") if not isinstance(row[name], str | None)]
    row |= dict.fromkeys(strange)
    try:
        if strange:
            raise TypeError
        if result is not None:
            training = result["training"]
            row |= {"metrics": {"ssim": result["metrics"]["ssim"], "mse": result["metrics"]["mse"], **result["metrics"]}}
            row |= {"params": result["params"], "seconds": training["seconds"], "steps": training.get("steps")}
    except (KeyError, TypeError, AttributeError):
        row |= {"status": "damaged", "reason": f"run {one.run_id} holds records of another program"}
    return row


def signature(folder: Path | str, names: Iterable[str]) -> list[int]:
    """Size, time and number of each file of a folder, by which a change is noticed; -1 for one that is not there."""
    found: list[int] = []
    for name in names:
        try:
            state = os.stat(f"{folder}/{name}", follow_symlinks=False)
            found += (state.st_size, state.st_mtime_ns, state.st_ino)
        except OSError:
            if (packed := packs.find(Path(folder))) is None or (info := packed.files.get(name)) is None:
                found.append(-1)
                continue
            found += (info.file_size, info.CRC, info.header_offset)
        if name == "result.json":  # what failed before does not count beside it
            break
    return found


def cache_file(store: Store, kind: str) -> Path:
    """Where what is kept of a store lies in the user's cache."""
    import platformdirs

    return platformdirs.user_cache_path("ablation-harness") / kind / f"{key_of(str(store.root.resolve()))}.json"


class Cache:
    """The kept rows of one store. Each holds the settings in which it differs from the first."""

    def __init__(self, store: Store) -> None:
        self.path = cache_file(store, "stores")
        self._base: Row = {}
        self._kept: dict[str, tuple[list[int], Row]] = {}
        self._changed = False
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # it is made again
            body = json.loads(self.path.read_bytes())
            if body["program"] == _PROGRAM:
                self._base, self._kept = dict(body["base"]), dict(body["rows"])

    def get(self, run_id: str, files_now: list[int]) -> Row | None:
        """The row that was read from these very files."""
        with suppress(ValueError, KeyError, TypeError):
            signature, row = self._kept[run_id]
            if signature == files_now:
                differs, gone = row["settings"], row["gone"]
                settings = {**self._base, **differs}
                for path in gone:
                    del settings[path]
                return {name: value for name, value in row.items() if name != "gone"} | {"settings": settings}
        return None

    def put(self, run_id: str, files_now: list[int], row: Row) -> None:
        """Keeps a row."""
        settings = row["settings"]
        if not self._base:
            self._base = settings
        absent = object()
        differs = {path: value for path, value in settings.items() if self._base.get(path, absent) != value}
        gone = [path for path in self._base if path not in settings]
        self._kept[run_id] = files_now, row | {"settings": differs, "gone": gone}
        self._changed = True

    def save(self, there: set[str]) -> None:
        """Writes what changed; a cache that cannot be written is not there the next time."""
        if self._changed or len(self._kept) > len(there):
            kept = {name: one for name, one in self._kept.items() if name in there}
            with suppress(OSError, ValueError):
                files.write(self.path, canonical_json({"program": _PROGRAM, "base": self._base, "rows": kept}).encode())
