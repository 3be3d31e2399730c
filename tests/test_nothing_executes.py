"""Loading never executes what it reads: a pickle at every place that is read stays a heap of bytes."""

from __future__ import annotations

import ast
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import shutil
import sqlite3
import threading
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from commands import Command

from harness.bench import speed as bench
from harness.data import digits, mirrors
from harness.errors import HarnessError
from harness.store import Store
from harness.system import locks
from harness.tuning.database import FOLDER, NAME

HOUSE = Path(__file__).resolve().parents[1]
PACKAGES = ("harness", "variants", "studies", "reports")

# --- no call that could


UNPICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle", "pandas.read_pickle"}
SEND = {"multiprocessing", "ray", "submitit"}
"""What pickles messages between processes."""
EXECUTES = {"eval", "exec", "compile", "__import__"}
ALLOWED = {
    ("harness/bench/sharing.py", "import multiprocessing"),
    ("harness/executors/processes.py", "import multiprocessing"),
    ("harness/executors/ray.py", "import ray"),
    ("harness/executors/slurm.py", "import submitit"),
}
"""(file, what): where a command talks to processes that it started itself. submitit alone does so through files, in a folder
that is made for that command and open to its user only."""


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (HOUSE / package).rglob("*.py"))


def suspicious(path: Path) -> set[str]:
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {f"import {name}" for name in modules if name.partition(".")[0] in UNPICKLES}
        found |= {f"import {name.partition('.')[0]}" for name in modules if name.partition(".")[0] in SEND}
    for name, call in calls(tree):
        given = {one.arg: ast.unparse(one.value) for one in call.keywords}
        if name in EXECUTES or name.endswith(".read_pickle"):
            found.add(name)
        if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            found.add(f"{name} without allow_pickle=False")
        if name == "torch.load" and given.get("weights_only") != "True":
            found.add("torch.load without weights_only=True")
        if name.split(".")[-1] in ("read_array", "load_module", "unsafe_load", "full_load"):
            found.add(name)
        if name == "yaml.load" or (name.startswith("subprocess.") and given.get("shell") == "True") or name == "os.system":
            found.add(name)
    return found


def test_nothing_in_the_code_can_unpickle_or_evaluate_what_it_reads() -> None:
    assert len(sources()) > 50
    found = {(str(path.relative_to(HOUSE)), what) for path in sources() for what in suspicious(path)}
    assert found == ALLOWED


def test_the_search_for_such_calls_finds_them(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "import pickle\nfrom joblib import load\nnp.load(p)\nnp.load(p, allow_pickle=True)\ntorch.load(p)\neval(x)\n"
        "pd.read_pickle(p)\nos.system(x)\nsubprocess.run(x, shell=True)\nnp.load(p, allow_pickle=False)\n"
    )
    assert len(suspicious(path)) == 8


# --- and none that does


class Bomb:
    """Whose loading makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.mark), 0o777)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.fixture
def payload(mark: Path) -> bytes:
    content = pickle.dumps(Bomb(mark))
    pickle.loads(content)  # noqa: S301  # it works
    assert mark.exists()
    mark.rmdir()
    return content


def objects(payload: bytes) -> bytes:
    """A .npy file of Python objects, whose items are the pickle."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": (4, 20, 16, 16)})
    return stream.getvalue() + payload


def zipped(content: bytes, name: str = "frames.npy") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def test_frames_digits_and_configs(harness: Command, tmp_path: Path, mark: Path, payload: bytes) -> None:
    forms = {
        "bare": payload,
        "npy": objects(payload),
        "npz": zipped(objects(payload)),
        "torch": zipped(payload, "x/data.pkl"),
    }
    for name, content in forms.items():
        path = tmp_path / name
        path.write_bytes(content)
        for setting in ("data.frames", "data.evaluation") if name == "npy" else ("data.frames",):
            assert harness("run", "--preset", "tiny", "--store", tmp_path / "store", "--set", f"{setting}={path}").code == 2
        assert harness("run", "--preset", "tiny", "--config", path, "--dry-run").code == 2
        assert harness("run", "--preset", "tiny", "--plugin", path, "--dry-run").code == 2
    digits = tmp_path / "digits"
    digits.mkdir()
    for content in (payload, gzip.compress(payload)):
        for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"):
            (digits / name).write_bytes(content)
        assert harness("run", "--preset", "tiny", "--digits", digits, "--dry-run").code == 2
        assert harness("data", "verify", "--digits", digits).code == 1
        assert harness("doctor", "--digits", digits, "--store", tmp_path / "store").code == 1
    assert not mark.exists()


def test_every_file_of_a_store_one_after_the_other(
    harness: Command, store: Path, tmp_path: Path, mark: Path, payload: bytes, quick: None
) -> None:
    """Each file of a store with runs, a plan, a study and a report becomes a pickle; every command reads the store."""
    plan = ["ablate", "--plan", "base,tta", "--seeds", "1", "--preset", "tiny", "--no-plugins", "--store", store]
    assert harness(*plan).code == 0
    assert harness("report", "--store", store).code == 0
    shutil.copytree(store, before := tmp_path / "before")
    (store / "studies").mkdir(exist_ok=True)
    run_id = next(path.name for path in sorted((store / "runs").iterdir()))
    files = [
        path for path in sorted(store.rglob("*")) if path.is_file() and path.suffix in (".json", ".jsonl", ".safetensors")
    ]
    files += [store / "studies" / "study.json", next(iter((store / "trainings").iterdir())) / "last.safetensors"]
    kinds: dict[tuple[str, str], Path] = {}
    for path in files:
        kinds.setdefault((path.relative_to(store).parts[0], path.name), path)
    assert len(kinds) >= 10
    commands = [
        ["list", "runs"],
        ["show", run_id],
        ["compare", before, store],
        ["predict", run_id, "--out", tmp_path / "x.png"],
        ["run", "--preset", "tiny", "--variant", "tta"],
    ]
    for path in kinds.values():
        kept = path.read_bytes() if path.exists() else None
        path.write_bytes(payload)
        # Predicting and running read weights and a run's own records; that they refuse takes longest.
        for words in (
            commands if path.suffix == ".safetensors" or path.name in ("experiment.json", "training.json") else commands[:3]
        ):
            where = [] if words[0] == "compare" else ["--store", store]
            assert harness(*words, *where).code in (0, 1, 2), words
        assert not mark.exists(), path
        path.unlink() if kept is None else path.write_bytes(kept)
    for path in kinds.values():
        path.write_bytes(payload)
    for words in (["report", "--store", store], ["doctor", "--store", store], ["compare", before, store / "report"], plan):
        assert harness(*words).code in (0, 1, 2)
    assert not mark.exists()


def test_a_training_is_not_resumed_from_a_pickle(
    harness: Command, store: Path, mark: Path, payload: bytes, quick: None
) -> None:
    for training in (store / "trainings").iterdir():
        (training / "training.json").unlink()
        (training / "last.safetensors").write_bytes(payload)
    for run in (store / "runs").iterdir():
        (run / "result.json").unlink()
    answer = harness("run", "--preset", "tiny", "--store", store, "--no-plugins")
    assert answer.code in (0, 1)
    assert "last.safetensors" in answer.err  # named as damaged
    assert not mark.exists()


def test_a_lease_and_recorded_ratios(
    harness: Command, store: Path, tmp_path: Path, mark: Path, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    key = next(path.stem for path in (store / "locks").glob("*.lock"))
    (store / "locks" / f"{key}.lease").write_bytes(payload)
    assert harness("doctor", "--store", store, "--no-plugins").code == 0
    with Store(store).lock(key) as lease:  # it was waited for, as a torn one
        assert lease is not None
    (recorded := tmp_path / "recorded.json").write_bytes(payload)
    monkeypatch.setattr(bench, "bench", lambda *args, **options: {"preset": "tiny", "ratios": {}})
    answer = harness("bench", "--preset", "tiny", "--json", "--check", recorded)
    assert answer.code == 2
    assert "cannot read the recorded ratios" in answer.error
    assert not mark.exists()


def test_the_storages_of_studies(harness: Command, tmp_path: Path, mark: Path, payload: bytes) -> None:
    (path := tmp_path / "storage").write_bytes(payload + b"\n")
    words = ["study", "loss-weights", "--preset", "tiny", "--trials", "1", "--no-plugins", "--store", tmp_path / "store"]
    for url in (f"sqlite:///{path}", f"journal:{path}"):
        assert harness(*words, f"--storage={url}").code in (1, 2)
    (own := tmp_path / "store" / FOLDER / NAME).parent.mkdir(parents=True, exist_ok=True)
    own.write_bytes(payload)
    answer = harness("doctor", "--repair", "--store", tmp_path / "store", "--no-plugins")
    assert f"{own} is damaged" in answer.err
    assert (tmp_path / "store" / "quarantine" / f"{FOLDER}.{NAME}~1" / NAME).read_bytes() == payload
    assert not mark.exists()


def test_a_mirror_s_answer(
    harness: Command, tmp_path: Path, mark: Path, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by its digest; and where that is taken for the published one, by the reader of digits."""

    class Handler(http.server.BaseHTTPRequestHandler):
        content = b""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}/"
        for Handler.content in (payload, gzip.compress(payload)):
            with pytest.raises(HarnessError, match="could not be fetched"):
                mirrors.fetch_digits(tmp_path / "refused", [mirror])
        published = digits.Published(len(payload), hashlib.sha256(payload).hexdigest())
        monkeypatch.setattr(digits, "MNIST", dict.fromkeys(digits.MNIST, published))
        folder = mirrors.fetch_digits(tmp_path / "taken", [mirror])
        server.shutdown()
    assert (folder / digits.TRAIN_IMAGES).read_bytes() == payload
    assert harness("data", "verify", "--digits", folder).code == 1
    assert harness("run", "--preset", "tiny", "--digits", folder, "--dry-run").code == 2
    assert not mark.exists()


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "gp", "random"])
def test_a_study_does_not_load_what_its_storage_brings(sampler: str, tmp_path: Path, mark: Path, payload: bytes) -> None:
    """Optuna's own CMA-ES sampler keeps a pickle in the trials and loads it; ours must not care."""
    from study_cells import AtOnce, Lab

    from harness.studies import Float, Study

    study = Study(
        name="two",
        summary="two numbers",
        owns=(),
        space=lambda experiment, options: {"x": Float(low=0.0, high=1.0), "y": Float(low=0.0, high=1.0)},
        to_settings=lambda params, experiment: {"stub.x": params["x"]},
    )
    lab = Lab(tmp_path / "store")
    lab.search(study=study, trials=7, sampler="random").run(AtOnce())
    lab.close()
    with closing(sqlite3.connect(tmp_path / "store" / "studies" / "optuna.sqlite3")) as connection, connection:
        trials = [row[0] for row in connection.execute("SELECT trial_id FROM trials")]
        for trial in trials:
            for key, value in (("cma:optimizer:0", payload.hex()), ("cma:generation", 0), ("x", payload.hex())):
                row = (trial, key, json.dumps(value))
                connection.execute("INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)", row)
    lab = Lab(tmp_path / "store")
    lab.search(study=study, trials=9, sampler=sampler).run(AtOnce())
    lab.close()
    assert not mark.exists()
