"""The run store: the only reader and writer of run folders.

    <root>/trainings/<checkpoint key>/   experiment.json  environment.json  metrics.jsonl
                                         last.safetensors  best-<step>.safetensors  training.json
    <root>/runs/<run id>/                experiment.json  environment.json  sequences.json  result.json
    <root>/locks/                        one lock file a key

A training and a run are two folders because several runs share one training: test-time augmentation evaluates the
checkpoint that its variant already has. `training.json` and `result.json` are written last, atomically: a folder that has
one is finished. Records are JSON with their own SHA-256; arrays are safetensors; nothing is ever unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness import NUMERICS
from harness.errors import HarnessError, RequestError
from harness.experiment import Experiment, canonical_json
from harness.masking import redact

FORMAT = 1
_UMASK = os.umask(0)
os.umask(_UMASK)
_KEY = re.compile(r"[0-9a-f]{16}(~[0-9]{1,6})?")
MAX_RECORD_BYTES = 32 * 2**20
MAX_LINES_BYTES = 256 * 2**20


class DamagedRecord(HarnessError):
    """A file of the store is truncated, changed, or not one of ours."""


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Where the fields of a record are used: a sound file with other fields than ours is named, and no crash.

    Raises DamagedRecord.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DamagedRecord(f"{path} holds records of another program ({reason})") from error


def key_of(value: object) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Cell:
    """One experiment with the identity of its data: what is trained once, and evaluated once.

    `identity` names the content of the training and evaluation data (see `harness.data.source.Source.identity`);
    `changes` are the config paths that the variant changes, kept so that a report can tell a variant from another setting.
    """

    variant: str
    preset: str
    experiment: Experiment
    identity: Mapping[str, str]
    changes: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """The seed of initialisation and data."""
        return self.experiment.training.seed

    @cached_property
    def training_key(self) -> str:
        """The checkpoint's key: equal for all cells that would train the same weights."""
        record = self.experiment.to_dict()
        # The test data cannot change the weights, nor can a path: the content's digest stands for it.
        data = {k: v for k, v in record["data"].items() if k not in ("frames", "evaluation", "test_sequences")}
        parts = {name: record[name] for name in ("architecture", "loss", "training")}
        return key_of({"numerics": NUMERICS, "train": self.identity["train"], "data": data} | parts)

    @cached_property
    def run_id(self) -> str:
        """The result's key: the checkpoint, how it predicts, and on what it is tested."""
        return key_of(
            {
                "training": self.training_key,
                "inference": self.experiment.to_dict()["inference"],
                "evaluation": self.identity["evaluation"],
                "test_sequences": self.experiment.data.test_sequences,
            }
        )

    def record(self) -> dict[str, Any]:
        """Plain values for experiment.json."""
        return {
            "variant": self.variant,
            "preset": self.preset,
            "seed": self.seed,
            "changes": list(self.changes),
            "run_id": self.run_id,
            "training_key": self.training_key,
            "numerics": NUMERICS,
            "identity": dict(self.identity),
            "experiment": self.experiment.to_dict(),
        }


class Folder:
    """A folder of records."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, record: Mapping[str, Any]) -> None:
        """Writes a JSON record with its digest, atomically and durably. NaN and infinities become null, secrets are masked."""
        body = _finite(dict(record)) | {"format": FORMAT, "place": self._place(name)}
        body["sha256"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
        self.write_bytes(name, (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))

    def _place(self, name: str) -> str:
        """Where a record belongs, so that a copy in another folder is not taken for that folder's own."""
        return f"{self.path.name.partition('~')[0]}/{name}"

    def write_bytes(self, name: str, content: bytes) -> None:
        """Writes a file under a temporary name, syncs it to disk, and only then names it."""
        path = self._within(name)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
            os.fchmod(handle, 0o666 & ~_UMASK)  # others of a shared store read it as they read any file
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            _sync_folder(self.path)
        except OSError as error:
            raise HarnessError(
                f"cannot write {path}: {error.strerror or error}; what was there before is untouched. "
                "Free space or choose a writable store (--store, HARNESS_STORE), then run the same command again"
            ) from error

    def _within(self, name: str) -> Path:
        """The path of a file of this folder. Raises DamagedRecord for a name that leads elsewhere, and when the folder does."""
        if Path(name).name != name or name in ("", "..") or "\0" in name:
            raise DamagedRecord(f"{name[:80]!r} is no name of a file in {self.path}")
        if self.path.is_symlink():
            raise DamagedRecord(f"{self.path} is a link, which may lead out of the store; move it away, or its target here")
        return self.path / name

    def opened(self, name: str, *, append: bool = False) -> io.BufferedReader | io.BufferedRandom:
        """Opens a file of this folder, to read or to append to. Raises DamagedRecord for what is no file of its own here.

        A link may lead out of the store, and a pipe would block for ever.
        """
        path = self._within(name)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT if append else os.O_RDONLY
        try:
            handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise DamagedRecord(f"{path} is not a file but a link, which may lead out of the store; move it away") from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise DamagedRecord(f"{path} is not a file; move it away and run the same command again")
        return os.fdopen(handle, "ab+") if append else os.fdopen(handle, "rb")

    def read(self, name: str) -> dict[str, Any]:
        """Reads a record written by `write`. Raises DamagedRecord when it is not whole, FileNotFoundError when absent."""
        path = self.path / name
        try:
            with self.opened(name) as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(size) if size <= MAX_RECORD_BYTES else b""
            if size > MAX_RECORD_BYTES:
                raise DamagedRecord(f"{path} is larger than {MAX_RECORD_BYTES >> 20} MiB; it is not a record of this store")
            body = json.loads(content)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise HarnessError(f"cannot read {path}: {error.strerror or error}") from error
        except (ValueError, RecursionError):
            raise DamagedRecord(f"{path} is truncated or not JSON; move it away and run the same command again") from None
        if not isinstance(body, dict) or "sha256" not in body or "format" not in body:
            raise DamagedRecord(f"{path} is not a record of this store; move it away and run the same command again")
        if body["format"] != FORMAT:
            raise DamagedRecord(f"{path} has format {str(body['format'])[:40]}; this version reads format {FORMAT}")
        digest = body.pop("sha256")
        try:
            whole = hashlib.sha256(canonical_json(body).encode()).hexdigest() == digest
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            raise DamagedRecord(f"{path} was changed after it was written; move it away and run the same command again")
        if (place := body.pop("place", None)) != self._place(name):
            raise DamagedRecord(f"{path} is the record of {str(place)[:80]}; move it away and run the same command again")
        del body["format"]
        return body

    def read_or_none(self, name: str) -> dict[str, Any] | None:
        """As `read`; None when there is no such record."""
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Appends one JSON line. A line that a crash tore is closed first, so that it spoils no other."""
        path = self.path / name
        try:
            with self.opened(name, append=True) as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
                file.write(canonical_json(_finite(dict(line))).encode() + b"\n")
        except OSError as error:
            raise HarnessError(f"cannot write {path}: {error.strerror or error}") from error

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of an append-only file. After a resume a step stands there twice; the later line counts."""
        try:
            with self.opened(name) as file:
                if os.fstat(file.fileno()).st_size > MAX_LINES_BYTES:
                    raise DamagedRecord(f"{self.path / name} is larger than {MAX_LINES_BYTES >> 20} MiB; move it away")
                raw = file.read(MAX_LINES_BYTES)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HarnessError(f"cannot read {self.path / name}: {error.strerror or error}") from error
        found = []
        for text in raw.split(b"\n"):
            try:
                value = _finite(json.loads(text))
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                found.append(value)
        return found

    def digest(self, name: str) -> str:
        """SHA-256 of a file's content."""
        try:
            with self.opened(name) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DamagedRecord(f"cannot read {self.path / name}: {error.strerror or error}") from error


class Run(Folder):
    """A run's folder."""

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def superseded(self) -> bool:
        """Whether `--force` made a newer one."""
        return "~" in self.path.name


class Training(Folder):
    """A training's folder."""

    def validations(self) -> list[dict[str, Any]]:
        """What each validation measured: step, seconds of training, and the metrics by name."""
        by_step = {}
        for line in self.lines("metrics.jsonl"):
            step, seconds, metrics = line.get("step"), line.get("seconds"), line.get("validation")
            if isinstance(step, int) and isinstance(seconds, int | float) and isinstance(metrics, dict):
                by_step[step] = {"step": step, "seconds": seconds, **metrics}
        return list(by_step.values())

    def check(self, summary: Mapping[str, Any]) -> Path:
        """The chosen checkpoint of a finished training, its digest verified. Raises DamagedRecord."""
        record = self.path / "training.json"
        with understood(record):
            name, digest = summary["checkpoint"], summary["checkpoint_sha256"]
            float(summary["seconds"]) + float(summary["warm_up_seconds"]), summary["memory"]["host_peak_bytes"]
        if not isinstance(name, str) or Path(name).name != name:
            raise DamagedRecord(f"{record} names a checkpoint outside its folder: {str(name)[:80]!r}")
        if self.digest(name) != digest:
            raise DamagedRecord(f"{self.path / name} is not the checkpoint that was trained; use --force to train anew")
        return self.path / name


class Store:
    """A folder of trainings and runs that many processes may use at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def training(self, cell: Cell) -> Training:
        """The folder of a cell's training, which need not exist yet."""
        return Training(self._part("trainings") / cell.training_key)

    def run(self, cell: Cell) -> Run:
        """The folder of a cell's run, which need not exist yet."""
        return Run(self._part("runs") / cell.run_id)

    def record_of(self, run: Run) -> dict[str, Any]:
        """The record of a run's cell: its own or, before it was tested, that of its training.

        Raises DamagedRecord when there is none.
        """
        if (own := run.read_or_none("experiment.json")) is not None:
            return own
        for training in self.trainings():
            record = training.read_or_none("experiment.json")
            if record is not None and record.get("run_id") == run.run_id and "~" not in training.path.name:
                return record
        raise DamagedRecord(f"{run.path} has no experiment.json; it is not a whole run")

    def training_of(self, run: Run) -> Training:
        """The training folder with the checkpoint that a finished run tested, be it one that `--force` set aside since.

        For a run that was not tested yet: the folder of its training, which may be under way or not begun.

        Raises DamagedRecord when the run's records are not whole, or no training of this store has that checkpoint.
        """
        record, result = self.record_of(run), run.read_or_none("result.json")
        with understood(run.path):
            key = str(record["training_key"])
            tested = None if result is None else result["training"]["checkpoint_sha256"]
        if tested is None:
            if not _KEY.fullmatch(key):
                raise DamagedRecord(f"{run.path} names the training {key[:80]!r}, which is not a key of this store")
            return Training(self._part("trainings") / key)
        trainings = [training for training in self.trainings() if training.path.name.partition("~")[0] == key]
        for training in trainings:
            summary = training.read_or_none("training.json")
            with understood(training.path):
                if summary is not None and summary["checkpoint_sha256"] == tested:
                    return training
        raise DamagedRecord(
            f"{self.root} no longer has the checkpoint that run {run.run_id} tested; use --force to train anew"
        )

    def runs(self) -> Iterator[Run]:
        """All run folders, in the order of their names; files and folders that are not ours are passed over."""
        return map(Run, self._folders("runs"))

    def trainings(self) -> Iterator[Training]:
        """All training folders, in the same manner."""
        return map(Training, self._folders("trainings"))

    def _part(self, kind: str) -> Path:
        """A folder of the store. Raises DamagedRecord when it is a link: the store itself may be one, what is in it may not."""
        if (path := self.root / kind).is_symlink():
            raise DamagedRecord(f"{path} is a link; name the store that it leads to with --store, or move its target here")
        return path

    def _folders(self, kind: str) -> Iterator[Path]:
        folder = self._part(kind)
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return
        except OSError as error:
            raise HarnessError(f"cannot read the store {self.root}: {error.strerror or error}") from error
        for name in names:
            path = folder / name
            if _KEY.fullmatch(name) and path.is_dir() and not path.is_symlink():
                yield path

    def find(self, prefix: str) -> Run:
        """The run whose id starts with `prefix`; one whose training has begun has no folder of its own yet.

        Raises RequestError when there is none, or more than one.
        """
        ids = [run.run_id for run in self.runs()]
        ids += [one for one in self._begun() if one not in ids]
        matches = [prefix] if prefix in ids else [one for one in ids if one.startswith(prefix) and "~" not in one]
        if len(matches) != 1:
            what = "no run" if not matches else f"{len(matches)} runs"
            names = matches or ids
            known = (", ".join(names[:8]) or "none") + (", ..." if len(names) > 8 else "")
            raise RequestError(
                f"{what} with the id {prefix!r} in {self.root}; {'matches' if matches else 'there'}: {known}"
                + ("" if matches else "; `harness list runs` shows all")
            )
        return Run(self._part("runs") / matches[0])

    def _begun(self) -> Iterator[str]:
        """The ids of the runs that trainings are for; damaged ones are passed over."""
        for training in self.trainings():
            with suppress(HarnessError):
                run_id = (training.read_or_none("experiment.json") or {}).get("run_id")
                if isinstance(run_id, str) and _KEY.fullmatch(run_id) and "~" not in training.path.name:
                    yield run_id

    @contextmanager
    def lock(self, key: str, *, wait: bool = True, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
        """Holds the lock of a key; yields whether it is held (always, when `wait`). Calls `waiting` when another has it.

        The operating system releases it when the process dies, however it dies.
        """
        folder = self._part("locks")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{key}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if not wait:
                    yield False
                    return
                waiting()
                lock.acquire()
        except OSError as error:
            raise HarnessError(
                f"cannot write to the store {self.root}: {error.strerror or error}; "
                "choose a writable folder with --store or HARNESS_STORE"
            ) from error
        try:
            yield True
        finally:
            lock.release()

    def set_aside(self, folder: Folder) -> Path | None:
        """Renames a folder to the next free '<name>~N', so that it is kept but no longer found. None when absent."""
        if not folder.path.exists():
            return None
        number = 1
        while (aside := folder.path.with_name(f"{folder.path.name}~{number}")).exists():
            number += 1
        try:
            os.rename(folder.path, aside)
            _sync_folder(folder.path.parent)
        except OSError as error:
            raise HarnessError(f"cannot set {folder.path} aside: {error.strerror or error}") from error
        return aside

    def free_bytes(self) -> int:
        """Free space where the store lies, bytes."""
        place = self.root
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free


def _finite(value: Any) -> Any:
    """The value with NaN and infinities as null: JSON has no others, and a reader must not take them for numbers."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, str):  # a name is short and has no such character; a command or an error may quote anything
        return redact(value) if any(one in value for one in " :=/") else value
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot; the file itself is on disk and named
            os.fsync(handle)
    finally:
        os.close(handle)
