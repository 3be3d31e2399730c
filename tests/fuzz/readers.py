"""Every reader of outside bytes, with valid examples of what it reads. A read ends in a result or raises the project's error.

Longer than other files because every reader comes with valid examples of what it reads.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib.metadata
import io
import json
import shutil
import sqlite3
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from mutations import HOSTILE, TEXTS, bytes_like, json_like, text_like, values
from safetensors.torch import save

for folder in ("benchmarks", "tests/support"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / folder))

from fake_store import cell as fake_cell  # noqa: E402
from fake_store import without_sync, write_plan, write_run  # noqa: E402
from study_cells import AtOnce, Lab  # noqa: E402

from harness.bench import speed as bench  # noqa: E402
from harness.cli import listing  # noqa: E402
from harness.cli.app import main  # noqa: E402
from harness.component import Shape  # noqa: E402
from harness.data import digits, frames, mirrors  # noqa: E402
from harness.errors import HarnessError, RequestError  # noqa: E402
from harness.experiment import canonical_json  # noqa: E402
from harness.model.build import build_model  # noqa: E402
from harness.registry import Plugins  # noqa: E402
from harness.runs.outcome import finished, stored_experiment  # noqa: E402
from harness.runs.request import Request, parse_settings, read_config  # noqa: E402
from harness.store import FORMAT, Folder, Run, Store, Training  # noqa: E402
from harness.studies import Study  # noqa: E402
from harness.system import locks  # noqa: E402
from harness.system.secrets import public_url, without_secrets  # noqa: E402
from harness.training import checkpoint  # noqa: E402
from harness.tuning.files import to_toml  # noqa: E402
from harness.tuning.storage import open_storage  # noqa: E402
from harness.variant import Variants  # noqa: E402
from reports.analysis import reading, stores  # noqa: E402
from reports.exports.csv import to_csv  # noqa: E402
from reports.exports.latex import to_latex  # noqa: E402
from reports.exports.markdown import to_markdown  # noqa: E402
from reports.figures import canvas  # noqa: E402
from reports.page import Figure  # noqa: E402
from reports.pages import folder, sections  # noqa: E402

VARIANTS = Variants(third_party=False)
CPU = torch.device("cpu")
SHAPE = Shape(channels=1, height=16, width=16, input_frames=3, horizon=3)


@dataclass(frozen=True)
class Reader:
    """A reader: what it may meet, and how it is called. `share` of a campaign's cases are its."""

    name: str
    cases: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    share: float


def make_readers(place: Path) -> list[Reader]:
    """All readers, at work in a folder of their own."""
    return [*_files(place), *_records(place), *_requests(place), *_storages(place), *_plugins(place)]


def _of_file(path: Path, read: Callable[[Path], object]) -> Callable[[Any], object]:
    """Writes a case to a file, bytes as they are and anything else as JSON, and reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def call(content: Any) -> object:
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read(path)

    return call


@contextlib.contextmanager
def _replaced(path: Path, content: bytes) -> Iterator[None]:
    """The file has that content within."""
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_bytes(before)


# --- arrays and weights


def _idx(count: int) -> bytes:
    images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
    return bytes((0, 0, 8, 3)) + struct.pack(">III", *images.shape) + images.tobytes()


def _npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version, allow_pickle=True)
    return stream.getvalue()


def _npz(array: np.ndarray, method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("frames.npy", _npy(array))
        archive.writestr("notes.txt", b"x")
    return stream.getvalue()


def _files(place: Path) -> Iterator[Reader]:
    folder = place / "digits"
    folder.mkdir()
    (folder / digits.TEST_IMAGES).write_bytes(_idx(2))

    read_idx = _of_file(folder / digits.TRAIN_IMAGES, lambda _: (digits.verify_digits(folder), digits.load_digits(folder)))
    idx = [_idx(3), gzip.compress(_idx(4), mtime=0), gzip.compress(_idx(1), mtime=0) * 2, gzip.compress(b"", mtime=0)]
    yield Reader("IDX and gzip files", bytes_like(idx), read_idx, 0.13)

    def unpack(pieces: list[bytes]) -> object:
        unpacker = mirrors._Unpacker(io.BytesIO(), 2000)
        for piece in pieces:
            unpacker.write(piece)
        unpacker.finish()
        return None

    content = gzip.compress(bytes(2000), mtime=0)
    downloads = st.lists(bytes_like([content[:10], content[10:], bytes(1000), bytes(1 << 16), content]), max_size=4)
    yield Reader("downloads", downloads, unpack, 0.05)

    unit, byte = np.random.default_rng(0).random((4, 6, 8, 8)), np.zeros((4, 6, 1, 8, 8), np.uint8)
    arrays = [unit, unit.astype(np.float16), byte, np.asfortranarray(unit), np.array([{}], object), unit.astype("c16")]

    def open_frames(path: Path) -> object:
        file = frames.open_frames(path)
        return file.read([0]), file.digest

    read_frames = _of_file(place / "frames.npy", open_frames)
    npy = [_npy(one) for one in arrays] + [_npy(unit, (2, 0)), _npy(unit, (3, 0)), b"\x80\x04."]
    yield Reader("npy files", bytes_like(npy), read_frames, 0.12)

    def headed(text: bytes, version: int = 1) -> bytes:
        return (
            b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + bytes(6144)
        )

    header = bytes_like([_npy(unit)[10:128]]).map(headed)
    plain = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 6, 8, 8), }"
    shapes = text_like([plain]).map(lambda text: headed(text.encode(errors="replace"), 2))
    yield Reader("npy headers", st.one_of(header, shapes), read_frames, 0.09)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    npz = [_npz(one, method) for one in arrays[:5] for method in methods]
    yield Reader("npz files", bytes_like(npz), read_frames, 0.12)

    request = Request(preset="tiny", settings={"architecture.widths": "4,8", "architecture.kernels": "3,3"})
    experiment = request.experiment(VARIANTS, "base")
    model = build_model(experiment.architecture, SHAPE, 0)
    optimizer = torch.optim.AdamW(model.parameters())
    (training := Training(place / "trainings" / ("a" * 16))).path.mkdir(parents=True)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    checkpoint.save_checkpoint(training, model, optimizer, checkpoint.State(step=3, best_ssim=0.5))
    last = (training.path / "last.safetensors").read_bytes()
    best = save(checkpoint.weights(model), {"step": "3"})

    def load(content: bytes) -> object:
        path = training.path / "best.safetensors"
        path.write_bytes(content)
        return checkpoint.load_model(experiment, SHAPE, path, CPU)

    def resume(content: bytes) -> object:
        (training.path / "last.safetensors").write_bytes(content)
        return checkpoint.resume(training, model, optimizer)

    def with_header(content: bytes) -> st.SearchStrategy[bytes]:
        size = struct.unpack("<Q", content[:8])[0]
        parsed = json.loads(content[8 : 8 + size])
        return json_like([parsed]).map(lambda value: _reheaded(value, content[8 + size :]))

    state = json_like([{**vars(checkpoint.State(step=3)), "best_step": 7}]).map(
        lambda value: save({}, {"training": "a" * 16, "state": json.dumps(value)})
    )
    yield Reader("checkpoints, to load", st.one_of(bytes_like([best, last]), with_header(best)), load, 0.06)
    yield Reader("checkpoints, to resume from", st.one_of(bytes_like([last, best]), with_header(last), state), resume, 0.06)


def _reheaded(header: Any, tensors: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


# --- records


def signed(place: str, value: Any) -> bytes:
    """A record as the store writes it, with a digest that is right whatever its fields are."""
    if not isinstance(value, dict):
        return json.dumps(value).encode()
    body = value | {"format": value.get("format", FORMAT), "place": value.get("place", place)}
    try:
        digest = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    except ValueError:  # NaN
        digest = "0" * 64
    return json.dumps(body | {"sha256": digest}).encode()


def _records(place: Path) -> Iterator[Reader]:
    root = place / "store"
    made = [fake_cell(name, seed, "tiny") for name in ("base", "attention") for seed in (0, 1)]
    with without_sync():
        for one in made:
            write_run(root, one)
        write_plan(root, "add-one", [(one.variant, one) for one in made])
    store, run = Store(root), Run(root / "runs" / made[0].run_id)
    training = store.training(made[0])
    weights = {"checkpoint": "best-0.safetensors", "checkpoint_sha256": hashlib.sha256(b"weights").hexdigest()}
    training.write_bytes(weights["checkpoint"], b"weights")
    training.write("training.json", training.read("training.json") | weights)
    result = run.read("result.json")
    run.write("result.json", result | {"training": result["training"] | weights})
    shutil.copytree(root, place / "other")
    plan = next((root / "plans").glob("*.json"))
    with contextlib.closing(Lab(place / "lab")) as lab:
        (search := lab.search(trials=5)).run(AtOnce())  # type: ignore[arg-type]
        study = search.save()
    (root / "studies").mkdir()

    def stub(plot: Any, id_: str, title: str, caption: str, alt: str) -> Figure:
        return Figure(id_, title, caption, alt, "<svg/>", b"png")

    def use() -> None:
        """All that reads this record, but for rendering."""
        listing.runs(root)
        errors: list[HarnessError] = []
        for call in (
            lambda: store.training_of(run),
            lambda: stored_experiment(store, run, VARIANTS.components.find),
            lambda: _show(root, run.run_id),
            lambda: finished(store, made[0]),
            lambda: store.training(made[0]).check(store.training(made[0]).read("training.json")),
            lambda: reading.read_store(store),
        ):
            try:
                call()
            except HarnessError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def read(folder: str, name: str, key: str) -> Callable[[Any], object]:
        def call(value: Any) -> object:
            content = value if isinstance(value, bytes) else signed(f"{key}/{name}", value)
            with _replaced(root / folder / key / name, content):
                return use()

        return call

    def cases(content: dict[str, Any] | list[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(json_like([content]), json_like([content]), bytes_like([json.dumps(content).encode()]))

    for name, share in (("result.json", 0.03), ("experiment.json", 0.03), ("environment.json", 0.003)):
        yield Reader(f"a run's {name}", cases(run.read(name)), read("runs", name, run.run_id), share)
    failure = {"variant": "base", "seed": 0, "error": "x", "attempts": 1}
    yield Reader("a run's failure.json", cases(failure), read("runs", "failure.json", run.run_id), 0.004)
    summary = store.training(made[0]).read("training.json")
    yield Reader("training.json", cases(summary), read("trainings", "training.json", made[0].training_key), 0.02)

    def pages(value: Any) -> object:
        name, content = value
        path = {"result.json": run.path / name, "plan": plan, "study": root / "studies" / "s.json"}[name]
        key = {"result.json": f"{run.run_id}/{name}", "plan": f"plans/{plan.name}", "study": "studies/s.json"}[name]
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(signed(key, content))
        save, canvas.save = canvas.save, stub
        try:
            page = sections.make_page(store, reading.read_store(store), VARIANTS, 0.005)
            if name == "study":
                to_markdown(page)
                for section in page.sections:
                    for table in section.tables:
                        to_csv(table), to_latex(table)
        finally:
            canvas.save = save
            path.unlink() if before is None else path.write_bytes(before)
        return page

    parts = {"result.json": run.read("result.json"), "plan": Folder(plan.parent).read(plan.name), "study": study}
    named = [json_like([content]).map(lambda value, name=name: (name, value)) for name, content in parts.items()]
    yield Reader("reports of records", st.one_of(named), pages, 0.004)

    document = reading.read_store(store).document()

    def compared(content: Any) -> object:
        (place / "other" / reading.DATA_FILE).write_bytes(
            content if isinstance(content, bytes) else json.dumps(content).encode()
        )
        return stores.compare(root, place / "other", VARIANTS)

    yield Reader("a report's data.json", cases(document), compared, 0.02)

    lines = store.training(made[0]).path / "metrics.jsonl"
    logged = [
        {"step": 10, "seconds": 0.5, "loss": 0.3},
        {"step": 20, "seconds": 1.0, "validation": {"ssim": 0.4, "mse": 30.0}},
    ]
    log = b"\n".join(json.dumps(one).encode() for one in logged)
    runs = reading.read_store(store).runs

    def read_lines(lines: Path) -> object:
        training = Training(lines.parent)
        training.append(lines.name, {"step": 1})
        return training.validations(), reading.read_validations(store, runs[0], "ssim")

    line = json_like(logged).map(lambda value: json.dumps(value).encode())
    logs = st.one_of(bytes_like([log]), st.lists(line, max_size=3).map(b"\n".join))
    yield Reader("metrics.jsonl", logs, _of_file(lines, read_lines), 0.05)

    manifest = place / "report"
    manifest.mkdir()

    def read_manifest(content: Any) -> object:
        (manifest / folder.MANIFEST).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        found = folder._manifest(manifest)
        assert all((manifest / name).resolve().is_relative_to(manifest.resolve()) for name in found)
        return found

    listed = {"files": ["index.html", "tables/a.csv", "../x", "/etc/passwd", "tables/../../x.csv"]}
    yield Reader("a report's list of files", cases(listed), read_manifest, 0.02)

    holder = {"token": "0" * 32, "kernel": locks.kernel(), "flock": True, "pid": 1, "count": f"{0:012}"}

    def read_lease(path: Path) -> object:
        path.with_suffix(".lock").touch()
        dead = locks.abandoned(path)
        with locks.hold(path.parent, path.stem, wait=0) as lease:
            assert (lease is not None) == dead
        return dead

    yield Reader("leases", cases(holder), _of_file(place / "locks" / "a.lease", read_lease), 0.01)

    measured = {"preset": "cpu", "ratios": {"article": {"training": 1.0}}}
    ratios = _of_file(place / "ratios.json", lambda path: bench.check(measured, path))
    yield Reader("a benchmark's ratios", cases({"ratios": {"article": {"training": 1.5, "memory": 1}}}), ratios, 0.02)


def _show(root: Path, run_id: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors := io.StringIO()):
        try:
            main(["show", run_id, "--store", str(root)])
        except SystemExit as ended:
            if ended.code:
                assert errors.getvalue().count("error: ") >= 1, errors.getvalue()
                raise RequestError(errors.getvalue()) from None


# --- what a user asks for


CONFIG = """
[training]
steps = 10
max_lr = 2e-3
[architecture]
widths = [8, 16]
kernels = [3, 3]
[data]
frames = "moving-mnist"
[loss]
mse = 1.0
"""
SETTINGS = (
    "training.steps=10",
    "architecture.widths=8,16",
    "inference.views=identity,hflip",
    "data.canvas=32",
    "loss.mse=0",
)
COMMANDS = (
    "run --dry-run --preset tiny --variant base --set training.steps=3",
    "run --dry-run --preset tiny --variant residual+attention --seed 3 --json",
    "ablate --dry-run --preset tiny --plan nothing --seeds 0",
    "ablate --dry-run --preset tiny --plan add-one --seeds x,1 --variants tta",
    "list variants --json",
    "list runs --store nowhere",
    "show abc --store nowhere",
    "predict abc --store nowhere --out x.gif --index 1",
    "report --store nowhere --margin 0.1",
    "compare nowhere elsewhere --margin 1",
    "study nothing --preset tiny --trials 0 --storage x://y",
    "bench --preset nothing --rounds 0 --contenders x",
    "data verify --digits nowhere",
)


def _requests(place: Path) -> Iterator[Reader]:
    def config(path: Path) -> object:
        return Request(preset="tiny", config=read_config(path)).experiment(VARIANTS, "base")

    flat = st.dictionaries(st.sampled_from([*(one.partition("=")[0] for one in SETTINGS), *TEXTS]), values, max_size=4)
    written = flat.map(_as_toml)
    texts = st.one_of(text_like([CONFIG]), written).map(lambda text: text.encode(errors="surrogatepass"))
    configs = st.one_of(texts, texts, bytes_like([CONFIG.encode()]))
    yield Reader("TOML configs", configs, _of_file(place / "config.toml", config), 0.1)

    def settings(texts: list[str]) -> object:
        return Request(preset="tiny", settings=parse_settings(texts)).experiment(VARIANTS, "base")

    paths = st.sampled_from([path for path, _ in (row.split("=") for row in SETTINGS)] + list(listing.settings()[0]["path"]))
    known = st.sampled_from([row["path"] for row in listing.settings()])
    free = st.tuples(known | paths, st.sampled_from(TEXTS) | values.map(str)).map("=".join)
    yield Reader("--set", st.lists(text_like(SETTINGS) | free, max_size=3), settings, 0.1)

    def words(given: list[str]) -> object:
        out, errors = io.StringIO(), io.StringIO()
        try:
            with contextlib.chdir(place), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                main(given)
        except SystemExit as ended:
            assert "Traceback" not in errors.getvalue(), errors.getvalue()
            if ended.code in (1, 2):
                raise RequestError(errors.getvalue()) from None
            assert not ended.code  # noqa: PT017
        return out.getvalue()

    yield Reader("command lines", _command_lines(), words, 0.02)


@st.composite
def _command_lines(draw: st.DrawFn) -> list[str]:
    given = draw(st.sampled_from(COMMANDS)).split()
    places = range(1, len(given))  # the command itself stays: others would train, fetch or serve
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(places))
        if given[place] != "--dry-run":
            given[place] = draw(st.sampled_from(TEXTS) | st.text(max_size=10))
    return given


def _as_toml(settings: dict[str, Any]) -> str:
    try:
        return to_toml(settings)
    except (HarnessError, UnicodeError, RecursionError, ValueError):
        return "x ="


# --- storages


def _storages(place: Path) -> Iterator[Reader]:
    with contextlib.closing(Lab(place / "made")) as lab:
        (search := lab.search(trials=4)).run(AtOnce())  # type: ignore[arg-type]
        name = search.id
    whole = (place / "made" / "studies" / "optuna.sqlite3").read_bytes()
    whole = whole[:18] + b"\x01\x01" + whole[20:]  # without a write-ahead log, so that it can be opened in memory
    journal_path = place / "made" / "journal"
    with contextlib.closing(Lab(place / "made-too", url=f"journal:{journal_path}")) as lab:
        lab.search(trials=4).run(AtOnce())  # type: ignore[arg-type]
    journal = journal_path.read_bytes()
    garbage = _database("CREATE TABLE studies (study_id TEXT)", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(whole)
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]
    scratch = place / "scratch"

    def study(url: str | None) -> object:
        """Opens a study that is there, and runs what it still lacks."""
        (scratch / "store" / "stub").mkdir(parents=True, exist_ok=True)
        with contextlib.closing(Lab(scratch / "store", url=url)) as lab, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search = lab.search(trials=5, timeout=1.0, study_name=name)
            search.patiently.seconds = 0.0
            search.run(AtOnce())  # type: ignore[arg-type]
            return search.save()

    def sqlite(content: bytes) -> object:
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "store" / "studies").mkdir(parents=True)
        (scratch / "store" / "studies" / "optuna.sqlite3").write_bytes(content)
        return study(None)

    def changed(change: tuple[tuple[str, str], Any, bool]) -> bytes:
        (table, column), value, drop = change
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(whole)
            with contextlib.suppress(sqlite3.Error, UnicodeError, OverflowError):
                if drop:
                    connection.execute(f"DROP TABLE {table}")
                else:
                    connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
            connection.commit()
            return connection.serialize()

    cells = st.sampled_from([v for v in HOSTILE if isinstance(v, str | int | float | None)]) | values.map(_as_json)
    changes = st.tuples(st.sampled_from(columns), cells, st.integers(0, 9).map(lambda n: n == 0)).map(changed)
    yield Reader("SQLite storages", st.one_of(changes, changes, bytes_like([whole, garbage])), sqlite, 0.004)

    def journals(content: bytes) -> object:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        (scratch / "journal").write_bytes(content)
        return study(f"journal:{scratch / 'journal'}")

    entries = [json.loads(line) for line in journal.splitlines()]
    line = st.lists(json_like(entries), min_size=1, max_size=2).map(lambda new: _as_lines([*entries, *new]))
    swapped = json_like([entries]).map(lambda new: _as_lines(new if isinstance(new, list) else [new]))
    yield Reader("journals", st.one_of(bytes_like([journal]), line, swapped), journals, 0.008)

    def urls(url: str) -> object:
        shown = public_url(url)
        without_secrets(f"cannot open {url}", url)
        with contextlib.closing(open_storage(url, place / "urls")):
            return shown

    # Nothing here names another machine, and no server listens on port 1.
    seeds = [
        "sqlite:///",
        "sqlite:///nowhere/x",
        "x://y",
        "://",
        "sqlite://u:p@h/x",
        "mysql://u@127.0.0.1:1/x",
        "journal:no/x",
    ]
    yield Reader("storage URLs", text_like(seeds).filter(_harmless), urls, 0.04)


def _harmless(url: str) -> bool:
    """Whether opening it makes no file and calls no other machine."""
    return not (url.startswith(("sqlite:///", "journal:")) and "nowhere" not in url) and "postgresql" not in url


def _as_json(value: Any) -> str:
    return json.dumps(value)


def _as_lines(entries: list[Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in entries)


def _database(*statements: str) -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        return connection.serialize()


# --- plugins

BODIES = (
    "raise RuntimeError('x' * 100000)",
    "raise SystemExit(3)",
    "raise MemoryError",
    "x = 1",
    "",
    "import nothing_of_that_name",
    "def f(): f()\nf()",
    "class E(BaseException): pass\nraise E",
    "print('\\x1b[2J')",
    "class B(Exception):\n    def __str__(self): raise ValueError\nraise B",
    "VARIANT = Variant(name=NAME, summary='', source='')",
    "VARIANT = Variant(name='mine', summary=NAME, source=NAME, changes={NAME: 1})",
    "VARIANT = Variant(name=None, summary=1, source=2)",
    "VARIANT = Variant(name='mine', summary='', source='', changes={'training.steps': NAME})",
    "VARIANT = Variant(name='mine', summary='', source='', changes={'architecture.skip': object()})",
    "VARIANT = Variant(name='mine', summary='', source='', changes=3)",
    "VARIANT = Variant",
    "STUDY = Study(name=NAME, summary='', owns=(), space=None, to_settings=None)",
    "VARIANT = Variant(name='base', summary='', source='')",
)


def _plugins(place: Path) -> Iterator[Reader]:
    def use(kind: type, group: str, files: list[Path], third_party: bool) -> object:
        found = Plugins(group, kind, files=files, third_party=third_party)
        rows = [(plugin.name, plugin.origin, plugin.error) for plugin in found]
        if kind is not Study:
            variants = Variants(files=files, third_party=third_party)
            listing.variants(variants)
            variants.compose(found.names[0] if found.names else "base")
        json.dumps(rows)
        return rows

    def load(path: Path) -> object:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use(Study, "harness.studies", [path], False)
            return use(type(VARIANTS.get("base")), "harness.variants", [path], False)

    start = "from harness.variant import Variant\nfrom harness.studies import Study\n"
    bodies = st.tuples(st.sampled_from(BODIES), st.sampled_from(HOSTILE) | values).map(
        lambda case: f"{start}nan, inf = float('nan'), float('inf')\nNAME = {case[1]!r}\n{case[0]}\n".encode(
            errors="replace"
        )
    )
    example = f"{start}VARIANT = Variant(name='mine', summary='s', source='s')\n".encode()
    yield Reader("plugin files", st.one_of(bodies, bytes_like([example])), _of_file(place / "plugin.py", load), 0.02)

    site = place / "site"
    info = site / "thing-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "thing.py").write_text("V = 1\nclass W:\n    name = 3\n")

    def entry_points(case: tuple[bytes, bytes]) -> object:
        (info / "METADATA").write_bytes(case[0])
        (info / "entry_points.txt").write_bytes(case[1])
        sys.path.insert(0, str(site))
        importlib.invalidate_caches()
        try:
            return use(type(VARIANTS.get("base")), "harness.variants", [], True)
        finally:
            sys.path.remove(str(site))

    metadata = bytes_like([b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"])
    points = bytes_like([b"[harness.variants]\nthing = thing:V\nother = thing:W.name\n[console_scripts]\nx = thing:V\n"])
    yield Reader("entry points", st.tuples(metadata, points), entry_points, 0.004)
