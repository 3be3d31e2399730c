"""A bundle: a plan, its runs and trainings, and on request their weights, in one zip file with a manifest of digests.

    manifest.json                        what it holds: SHA-256 and size of every file
    plans/<key>.json
    runs/<run id>/                       experiment.json  environment.json  sequences.json  result.json
    trainings/<checkpoint key>/          experiment.json  environment.json  training.json  metrics.jsonl  [best-<step>.safetensors]

Names are matched against this list, so nothing in a bundle can name a place elsewhere; every digest is checked as the file is
unpacked, and then every record's own. A digest says that nothing changed since the manifest was made, not who made it: compare the
bundle's digest with the one that its author published.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.experiment import canonical_json
from harness.store import packs
from harness.store.formats import DamagedRecord, validated
from harness.store.merge import RECORDS, Merged, check_records, merge
from harness.store.records import Folder
from harness.store.store import Run, Store, Training
from harness.system import files
from harness.version import __version__

KIND, FORMAT = "ablation-harness bundle", 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 * 2**20
_KEY = "[0-9a-f]{16}"
NAME = re.compile(
    rf"plans/{_KEY}\.json"
    rf"|runs/{_KEY}/({'|'.join(map(re.escape, RECORDS['runs']))}|failure\.json)"
    rf"|trainings/{_KEY}/({'|'.join(map(re.escape, RECORDS['trainings']))}|metrics\.jsonl|(last|best-[0-9]{{1,12}})\.safetensors)"
)
_DAY_ZERO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """A bundle's file, its digest, the plan's key, how many runs and files it has, and how large they are unpacked."""

    path: Path
    digest: str
    plan: str
    runs: int
    files: int
    bytes: int


def plan_name(store: Store, prefix: str) -> str:
    """The key of the plan whose key starts with `prefix`; with an empty one, of the only plan. Raises RequestError."""
    keys = sorted(path.stem for path in store.part("plans").glob("*.json"))
    found = [key for key in keys if key.startswith(prefix)]
    if len(found) != 1:
        what = f"{len(found)} plans" if found else "no plan"
        whose = f" whose key begins with {prefix!r}" if prefix else ""
        known = "; ".join(f"{key}: {_command(store, key)}" for key in (found or keys)[:8]) or "none"
        raise RequestError(f"{what}{whose} in {store.root}; name one with --plan. There: {known}")
    return found[0]


def _command(store: Store, key: str) -> str:
    try:
        return str(Folder(store.part("plans")).read(f"{key}.json").get("command") or "no command")
    except HarnessError:
        return "damaged"


def export_bundle(store: Store, plan: str, out: Path, *, weights: bool = False) -> Bundle:
    """Writes the finished cells of a plan to a file.

    The same records give the same bytes. Raises RequestError when none of its cells is finished, DamagedRecord when one is not
    whole.
    """
    if out.is_dir():
        raise RequestError(f"--out {out} is a folder; name a file such as {out / 'results.zip'}")
    plans = Folder(store.part("plans"))
    record = plans.read(f"{plan}.json")
    given: Given = {f"plans/{plan}.json": plans}
    with validated(plans.path / f"{plan}.json"):
        ids = list(dict.fromkeys(str(cell["run_id"]) for cell in record["cells"] if cell["run_id"]))
    runs = 0
    for run_id in ids:
        run = Run(store.part("runs") / run_id)
        result = check_records(run, "runs") if re.fullmatch(_KEY, run_id) else None
        if result is None:
            continue
        runs += 1
        given |= {f"runs/{run_id}/{name}": run for name in RECORDS["runs"] if run.has(name)}
        if "predictions" in store.record_of(run):
            continue
        training = store.training_of(run)
        names = [*RECORDS["trainings"], "metrics.jsonl"]
        summary = training.read("training.json")
        if weights:
            training.check(summary, here=False)
            names.append(str(summary["checkpoint"]))
        given |= {f"trainings/{training.key}/{name}": training for name in names if training.has(name)}
    if not runs:
        raise RequestError(f"plan {plan} has no finished run in {store.root}; run it first: {record.get('command')}")
    manifest = manifest_of(given, plan=plan, weights=weights)
    try:
        with files.replacing(out) as temporary:
            write_archive(temporary, given, manifest)
    except OSError as error:
        raise HarnessError(f"cannot write {out}: {error.strerror or error}; free space or choose another file") from error
    return _bundle(out, manifest)


Given = dict[str, Folder]
"""What goes into a bundle: the name in it -> the folder whose file of that name it is."""


def manifest_of(given: Given, **more: Any) -> dict[str, Any]:
    """The manifest of these files."""
    described: dict[str, Any] = {}
    for name, folder in sorted(given.items()):
        with folder.present(name.rpartition("/")[2]) as file:
            described[name] = {"sha256": files.digest(files.pieces(file)), "bytes": file.tell()}
    return {"kind": KIND, "format": FORMAT, "harness": __version__, **more, "files": described}


def write_archive(path: Path, given: Given, manifest: dict[str, Any]) -> None:
    """Writes a bundle. The same records give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, _DAY_ZERO), json.dumps(manifest, indent=1) + "\n", zipfile.ZIP_DEFLATED)
        for name, folder in sorted(given.items()):
            info = zipfile.ZipInfo(name, _DAY_ZERO)
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
            with folder.present(name.rpartition("/")[2]) as source, archive.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 2**20)


def check_archive(path: Path) -> dict[str, Any]:
    """The manifest of a bundle of which every file is as it says. Raises DamagedRecord."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(path, archive)
            for name, said in manifest["files"].items():
                with archive.open(name) as file:
                    if files.digest(iter(partial(file.read, 2**20), b"")) != said["sha256"]:
                        raise DamagedRecord(f"{path}: {name} is not what its manifest says")
    except packs.BROKEN as error:
        raise DamagedRecord(f"{path} is not whole ({error})") from None
    return manifest


def _bundle(path: Path, manifest: dict[str, Any]) -> Bundle:
    described = manifest["files"]
    return Bundle(
        path,
        digest=files.digest([canonical_json(manifest).encode()]),
        plan=str(manifest["plan"]),
        runs=sum(name.endswith("/result.json") for name in described),
        files=len(described),
        bytes=sum(one["bytes"] for one in described.values()),
    )


@contextmanager
def unpacked(path: Path, where: Path | None = None) -> Iterator[tuple[Store, Bundle]]:
    """A bundle as a store in a temporary folder (below `where`), all of it checked.

    Raises DamagedRecord for whatever is not as its manifest says, RequestError for a file that is no bundle.
    """
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(prefix=".import-", dir=where) as place:
            manifest = _manifest(path, archive)
            for name, said in manifest["files"].items():
                _unpack(path, archive, name, said, Path(place))
            store = Store(Path(place))
            _check_store(path, store)
            yield store, _bundle(path, manifest)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise RequestError(f"{path} is not a bundle, or is damaged ({error}); harness store export writes one") from None
    except FileNotFoundError:
        if path.exists():
            raise
        raise RequestError(f"there is no bundle {path}") from None


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest. Raises when the archive's names are not those that it lists, or one is not a name of a bundle's file."""
    names = archive.namelist()
    if MANIFEST not in names:
        raise RequestError(f"{path} has no {MANIFEST}; it is not a bundle of harness store export")
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise DamagedRecord(f"{path}: its {MANIFEST} is larger than {MAX_MANIFEST_BYTES >> 20} MiB")
    with validated(path):
        body: dict[str, Any] = json.loads(archive.read(MANIFEST))
        if body["kind"] != KIND or body["format"] != FORMAT:
            raise RequestError(
                f"{path} is a bundle of format {body['format']!r}; this version reads {FORMAT}: install a newer one"
            )
        listed = {str(name): (str(one["sha256"]), int(one["bytes"])) for name, one in body["files"].items()}
        str(body["plan"])
    strange = [name for name in (*listed, *names) if name != MANIFEST and not NAME.fullmatch(name)]
    if strange:
        raise DamagedRecord(f"{path} has {strange[0][:120]!r}, which is no file of a bundle; it is refused")
    if len(names) != len(set(names)) or set(names) != {MANIFEST, *listed}:
        odd = sorted(({*names} ^ {*listed}) - {MANIFEST})
        raise DamagedRecord(
            f"{path}: its files are not those that its manifest lists ({', '.join(odd[:3]) or 'one is there twice'})"
        )
    return body


def _unpack(path: Path, archive: zipfile.ZipFile, name: str, said: dict[str, Any], place: Path) -> None:
    target = place / name
    target.parent.mkdir(parents=True, exist_ok=True)
    left = int(said["bytes"])

    def checked() -> Iterator[bytes]:
        nonlocal left
        with archive.open(name) as source:
            while piece := source.read(2**20):
                left -= len(piece)
                if left < 0:
                    raise DamagedRecord(f"{path}: {name} is longer than its manifest says; it is refused")
                with target.open("ab") as file:
                    file.write(piece)
                yield piece

    if files.digest(checked()) != said["sha256"] or left:
        raise DamagedRecord(
            f"{path}: {name} is not what its manifest says: it was changed after the export; the bundle is refused"
        )
    target.touch()


def _check_store(path: Path, store: Store) -> None:
    """Every record's own digest and place, and every checkpoint against its training."""
    folders: list[tuple[Run | Training, str]] = [(run, "runs") for run in store.runs()]
    folders += [(training, "trainings") for training in store.trainings()]
    for folder, kind in folders:
        try:
            if check_records(folder, kind) is None:
                raise DamagedRecord(f"{folder.path.name} has no {RECORDS[kind][-1]}")
        except DamagedRecord as error:
            raise DamagedRecord(f"{path} is refused: {error}") from None
    for plan in store.part("plans").glob("*.json"):
        Folder(plan.parent).read(plan.name)


def import_bundle(store: Store, path: Path, expected: str = "") -> tuple[Bundle, Merged]:
    """Adds a bundle's records to a store, as `merge` does, after all of it was checked.

    Args:
        expected: the bundle's digest as its author published it, or its first digits.
    """
    store.root.mkdir(parents=True, exist_ok=True)
    with unpacked(path, store.root) as (found, bundle):
        if not bundle.digest.startswith(expected):
            raise DamagedRecord(
                f"{path} has the digest {bundle.digest}, not {expected}: it is not the bundle that was published"
            )
        return bundle, merge(store, found)
