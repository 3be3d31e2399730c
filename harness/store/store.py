"""The run store: the only reader and writer of run folders.

    <root>/trainings/<checkpoint key>/   experiment.json  environment.json  metrics.jsonl
                                         last.safetensors  best-<step>.safetensors  training.json
    <root>/runs/<run id>/                experiment.json  environment.json  sequences.json  result.json
    <root>/locks/                        <key>.lock and <key>.lease (see `harness.system.locks`)
    <root>/quarantine/<name>~<number>/   something damaged, and why.json

A training and a run are two folders because several runs share one training: test-time augmentation evaluates the
checkpoint that its variant already has. `training.json` and `result.json` are written last, atomically: a folder that has
one is finished. Records are JSON with their own SHA-256, lines of metrics.jsonl have theirs, arrays are safetensors with one in
their header; each also says where it belongs. Nothing is ever unpickled. docs/reliability.md says what follows from that.

Formats: 1 had neither digests nor places in lines and in checkpoints. It is read as it is, and continued in the newest one.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import NUMERICS
from harness.errors import HarnessError, RequestError
from harness.experiment import Experiment, canonical_json
from harness.system import files, locks
from harness.system.secrets import redact

FORMAT = 2
_KEY = re.compile(r"[0-9a-f]{16}(~[0-9]{1,6})?")
MAX_RECORD_BYTES = 32 * 2**20
MAX_LINES_BYTES = 256 * 2**20
MAX_TABLE_BYTES = 8 * 2**20
"""Of a checkpoint's header: room for 50,000 tensors."""
_PIECE = 2**20
QUARANTINE = "quarantine"
_LINE_DIGEST = "sha256"
REDO = "its run's command sets it aside and makes it anew"


class DamagedRecord(HarnessError):
    """A file or folder of the store is truncated, changed, or not one of ours. `path`, where it is known, is what to set aside."""

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class NewerFormat(HarnessError):
    """A whole file of the store that a newer version wrote: not damaged, and not for this version to touch."""


@contextmanager
def validated(path: Path) -> Iterator[None]:
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
    """A folder of records. `guard` is called before anything is named in it: a holder that lost its lock writes nothing."""

    def __init__(self, path: Path, guard: Callable[[], None] = lambda: None) -> None:
        self.path, self.guard = path, guard

    def write(self, name: str, record: Mapping[str, Any]) -> None:
        """Writes a JSON record with its digest, atomically and durably. NaN and infinities become null, secrets are masked."""
        body = _finite(dict(record)) | {"format": FORMAT, "place": self._place(name)}
        body["sha256"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
        self.write_bytes(name, (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))

    def _place(self, name: str) -> str:
        """Where a record belongs, so that a copy in another folder is not taken for that folder's own."""
        return f"{self.path.name.partition('~')[0]}/{name}"

    def write_bytes(self, name: str, *pieces: bytes | memoryview) -> None:
        """Writes a file under a temporary name, syncs it to disk, and only then names it."""
        path = self._within(name)
        try:
            self.guard()
            files.write(path, *pieces)
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
            raise DamagedRecord(f"{self.path} is a link, which may lead out of the store; {REDO}", self.path)
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
            raise DamagedRecord(f"{path} is not a file but a link, which may lead out of the store; {REDO}", path) from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise DamagedRecord(f"{path} is not a file; {REDO}", path)
        return os.fdopen(handle, "ab+") if append else os.fdopen(handle, "rb")

    def read(self, name: str) -> dict[str, Any]:
        """Reads a record written by `write`. Raises DamagedRecord when it is not whole, FileNotFoundError when absent."""
        path = self.path / name
        try:
            with self.opened(name) as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(size) if size <= MAX_RECORD_BYTES else b""
            if size > MAX_RECORD_BYTES:
                raise DamagedRecord(
                    f"{path} is larger than {MAX_RECORD_BYTES >> 20} MiB; it is not a record of this store", path
                )
            body = json.loads(content)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise HarnessError(f"cannot read {path}: {error.strerror or error}") from error
        except (ValueError, RecursionError):
            raise DamagedRecord(f"{path} is truncated or not JSON; {REDO}", path) from None
        if not isinstance(body, dict) or "sha256" not in body or "format" not in body:
            raise DamagedRecord(f"{path} is not a record of this store; {REDO}", path)
        digest = body.pop("sha256")
        try:
            whole = hashlib.sha256(canonical_json(body).encode()).hexdigest() == digest
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            raise DamagedRecord(f"{path} was changed after it was written; {REDO}", path)
        check_format(path, body.pop("format"))
        if (place := body.pop("place", None)) != self._place(name):
            raise DamagedRecord(f"{path} is the record of {str(place)[:80]}; {REDO}", path)
        return body

    def read_or_none(self, name: str) -> dict[str, Any] | None:
        """As `read`; None when there is no such record."""
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Appends one JSON line with its digest. A line that a crash tore is closed first, so that it spoils no other."""
        path = self.path / name
        whole = _finite(dict(line))
        whole[_LINE_DIGEST] = self._line_digest(name, whole)
        try:
            self.guard()
            with self.opened(name, append=True) as file:
                files.append(file.fileno(), canonical_json(whole).encode())
        except OSError as error:
            raise HarnessError(
                f"cannot write {path}: {error.strerror or error}; the last saved state is untouched. Free space, then run "
                "the same command again to go on"
            ) from error

    def sync(self, name: str) -> None:
        """Brings the lines appended so far to disk."""
        try:
            files.sync(self.path / name)
        except OSError as error:
            raise HarnessError(f"cannot write {self.path / name}: {error.strerror or error}") from error

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of an append-only file. After a resume a step stands there twice; the later line counts."""
        return [line for line, _ in self._whole_lines(name)]

    def split_lines(self, name: str) -> tuple[list[bytes], int]:
        """The whole lines of an append-only file as they stand there, and how many others there are."""
        raw = self._raw_lines(name)
        whole = [text for _, text in self._whole_lines(name)]
        return whole, sum(bool(text.strip()) for text in raw) - len(whole)

    def _raw_lines(self, name: str) -> list[bytes]:
        path = self.path / name
        try:
            with self.opened(name) as file:
                if os.fstat(file.fileno()).st_size > MAX_LINES_BYTES:
                    raise DamagedRecord(f"{path} is larger than {MAX_LINES_BYTES >> 20} MiB; {REDO}", path)
                return file.read(MAX_LINES_BYTES).split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HarnessError(f"cannot read {path}: {error.strerror or error}") from error

    def _whole_lines(self, name: str) -> Iterator[tuple[dict[str, Any], bytes]]:
        digests = False  # those of format 1 have none, and stand before all others
        for text in self._raw_lines(name):
            try:
                value = _finite(json.loads(text))
                if not isinstance(value, dict):
                    continue
                digest = value.pop(_LINE_DIGEST, None)
                if digest is None and digests:
                    continue
                if digest is not None:
                    if digest != self._line_digest(name, value):
                        continue
                    digests = True
            except (ValueError, RecursionError):
                continue
            yield value, text

    def _line_digest(self, name: str, line: Mapping[str, Any]) -> str:
        return hashlib.sha256((self._place(name) + canonical_json(line)).encode()).hexdigest()[:16]

    def sweep(self) -> None:
        """Removes what processes that died left under temporary names. For the holder of the folder's lock."""
        if self.path.is_symlink():
            return
        with suppress(OSError):
            files.discard([path for path in self.path.iterdir() if files.is_temporary(path)])

    def digest(self, name: str) -> str:
        """SHA-256 of a file's content."""
        try:
            with self.opened(name) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _cannot_read(self.path / name, error) from error


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
        with validated(record):
            name, digest = summary["checkpoint"], summary["checkpoint_sha256"]
            float(summary["seconds"]) + float(summary["warm_up_seconds"]), summary["memory"]["host_peak_bytes"]
        if not isinstance(name, str) or Path(name).name != name:
            raise DamagedRecord(f"{record} names a checkpoint outside its folder: {str(name)[:80]!r}")
        if self.digest(name) != digest:
            raise DamagedRecord(f"{self.path / name} is not the checkpoint that was trained; {REDO}")
        return self.path / name

    def write_checkpoint(self, name: str, content: bytes, header: Mapping[str, str]) -> None:
        """Writes a serialised safetensors file with the header's texts, where it belongs, and a digest of all of it."""
        size = int.from_bytes(content[:8], "little")
        table, data = json.loads(content[8 : 8 + size]), memoryview(content)[8 + size :]
        table["__metadata__"] = {**header, "training": self._place(name).partition("/")[0], "format": str(FORMAT)}
        table["__metadata__"]["sha256"] = _checkpoint_digest(table, [data])
        text = canonical_json(table).encode()
        text += b" " * (-len(text) % 8)
        self.write_bytes(name, len(text).to_bytes(8, "little"), text, data)

    def check_checkpoint(self, name: str) -> dict[str, str]:
        """The header's texts of a checkpoint that is whole and this training's own.

        One of format 1 has no digest: what it says of itself is believed. Raises DamagedRecord or NewerFormat.
        """
        path = self.path / name
        try:
            with self.opened(name) as file:
                there = os.fstat(file.fileno()).st_size
                size = int.from_bytes(file.read(8), "little")
                if size > MAX_TABLE_BYTES:
                    raise DamagedRecord(f"{path} is not a checkpoint of this store; {REDO}", path)
                table = json.loads(file.read(size))
                header = table["__metadata__"]
                tensors = [entry for key, entry in table.items() if key != "__metadata__"]
                # Before anything of it is read: a file that is not as long as it says may be of any length.
                claimed = 8 + size + max((entry["data_offsets"][1] for entry in tensors), default=0)
                if there != claimed:
                    raise DamagedRecord(f"{path} has {there:,} bytes, not as many as its header says; {REDO}", path)
                digest, written = header.pop("sha256", None), header.get("format")
                whole = digest == _checkpoint_digest(table, iter(lambda: file.read(_PIECE), b""))
        except OSError as error:
            raise _cannot_read(path, error) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise DamagedRecord(f"{path} is not a checkpoint of this store; {REDO}", path) from None
        if digest is not None or written is not None:
            if not whole:
                raise DamagedRecord(f"{path} was changed after it was written; {REDO}", path)
            check_format(path, int(written) if str(written).isdecimal() else written)
        own = self._place(name).partition("/")[0]
        if header.get("training", own if "state" not in header else None) != own:
            of = header.get("training", "of something else")
            raise DamagedRecord(f"{path} belongs to the training {of}; {REDO}", path)
        return dict(header)


class Store:
    """A folder of trainings and runs that many processes may use at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def training(self, cell: Cell) -> Training:
        """The folder of a cell's training, which need not exist yet."""
        return Training(self.part("trainings") / cell.training_key)

    def run(self, cell: Cell) -> Run:
        """The folder of a cell's run, which need not exist yet."""
        return Run(self.part("runs") / cell.run_id)

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
        with validated(run.path):
            key = str(record["training_key"])
            tested = None if result is None else result["training"]["checkpoint_sha256"]
        if tested is None:
            if not _KEY.fullmatch(key):
                raise DamagedRecord(f"{run.path} names the training {key[:80]!r}, which is not a key of this store")
            return Training(self.part("trainings") / key)
        trainings = [training for training in self.trainings() if training.path.name.partition("~")[0] == key]
        for training in trainings:
            summary = training.read_or_none("training.json")
            with validated(training.path):
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

    def part(self, kind: str) -> Path:
        """A folder of the store. Raises DamagedRecord when it is a link: the store itself may be one, what is in it may not."""
        if (path := self.root / kind).is_symlink():
            raise DamagedRecord(f"{path} is a link; name the store that it leads to with --store, or move its target here")
        return path

    def _folders(self, kind: str) -> Iterator[Path]:
        folder = self.part(kind)
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
        return Run(self.part("runs") / matches[0])

    def _begun(self) -> Iterator[str]:
        """The ids of the runs that trainings are for; damaged ones are passed over."""
        for training in self.trainings():
            with suppress(HarnessError):
                run_id = (training.read_or_none("experiment.json") or {}).get("run_id")
                if isinstance(run_id, str) and _KEY.fullmatch(run_id) and "~" not in training.path.name:
                    yield run_id

    @contextmanager
    def lock(
        self, key: str, *, wait: bool = True, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[locks.Lease | None]:
        """Holds the lock of a key; yields its lease, or None when another has it and `wait` is False.

        Calls `waiting` when another has it. A process that died holding it blocks nobody; see `harness.system.locks`.
        """
        with ExitStack() as stack:
            try:
                lease = stack.enter_context(locks.hold(self.part("locks"), key, wait=wait, waiting=waiting))
            except OSError as error:
                raise HarnessError(
                    f"cannot write to the store {self.root}: {error.strerror or error}; "
                    "choose a writable folder with --store or HARNESS_STORE"
                ) from error
            yield lease

    @contextmanager
    def own(self, folder: Folder, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Holds the lock of a training or a run, which is written through `folder` only while that is so."""
        with self.lock(folder.path.name, waiting=waiting) as lease:
            assert lease is not None
            folder.guard = lease.check
            yield

    def quarantine(self, path: Path, reason: str) -> Path:
        """Moves a damaged file or folder of the store out of the way and keeps it, with the reason; returns where it is."""
        inside = path.relative_to(self.root)
        name = ".".join(inside.parts)
        for above in inside.parents:  # what a link leads to is not the store's to move
            if above.name and (self.root / above).is_symlink():
                raise DamagedRecord(f"{self.root / above} is a link, so {path} is left alone; remove the link")
        quarantine = self.part(QUARANTINE)
        try:
            quarantine.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                place = quarantine / f"{name}~{number}"
                try:
                    place.mkdir()
                    break
                except FileExistsError:
                    number += 1
            Folder(place).write("why.json", {"path": inside.as_posix(), "reason": reason})
            os.rename(path, place / path.name)
            files.sync_folder(path.parent)
        except OSError as error:
            raise HarnessError(
                f"cannot set the damaged {path} aside: {error.strerror or error}; free space or make the store writable, then "
                "run the same command again"
            ) from error
        return place / path.name

    def set_aside(self, folder: Folder) -> Path | None:
        """Renames a folder to the next free '<name>~N', so that it is kept but no longer found. None when absent."""
        if not folder.path.exists():
            return None
        number = 1
        while (aside := folder.path.with_name(f"{folder.path.name}~{number}")).exists():
            number += 1
        try:
            os.rename(folder.path, aside)
            files.sync_folder(folder.path.parent)
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


def _cannot_read(path: Path, error: OSError) -> HarnessError:
    """What is not there is damage; what cannot be read just now may be whole, and is left alone."""
    gone = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
    return (DamagedRecord if gone else HarnessError)(f"cannot read {path}: {error.strerror or error}")


def check_format(path: Path, found: object) -> None:
    """Raises NewerFormat or DamagedRecord unless this version reads the format of a file that is whole."""
    if isinstance(found, int) and found > FORMAT:
        raise NewerFormat(f"{path} has format {found}; this version reads up to {FORMAT}: install a newer one")
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise DamagedRecord(f"{path} has no known format ({found!r}); {REDO}", path)


def _checkpoint_digest(table: Mapping[str, Any], data: Iterable[bytes | memoryview]) -> str:
    """SHA-256 of a safetensors file's table, its own digest left out, and its data, given in pieces."""
    found = hashlib.sha256(canonical_json(table).encode())
    for piece in data:
        found.update(piece)
    return found.hexdigest()
