"""What writes: a run in all its ways, a plan's record, a study's records and file, a report, a repair, a migration, a picture,
fetched digits. Every call of each fails once."""

from __future__ import annotations

import argparse
import functools
import hashlib
import http.server
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from faults import fail_each, sites
from kills import numbers

from harness.ablation.plan import Ablation
from harness.ablation.runner import Runner
from harness.data import digits, mirrors
from harness.errors import Interrupted
from harness.evaluation import cost as measure
from harness.maintenance.migration import rewrite
from harness.maintenance.repair import repair as repair_store
from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.runs.context import HERE, Context
from harness.runs.request import Request
from harness.runs.sample import draw_run
from harness.store import Store
from harness.system.progress import Silent, Status
from harness.tuning import search
from harness.tuning.command import run_study
from harness.tuning.request import StudyRequest
from harness.variant import Variants
from reports.ablation import build

REQUEST = Request(
    preset="tiny",
    settings={"training.steps": 3, "training.validate_every": 2, "data.test_sequences": 4, "data.validation_sequences": 4},
)
INSTALLED = Variants(third_party=False)
CONTENT = {name: name.encode() * 100 for name in digits.MNIST}
"""A stand-in for the files of MNIST."""


Work = Callable[[Store], Any]


class Stopping(Silent):
    """Has a training stopped after its second step, before the validation that is due then."""

    def update(self, status: Status) -> None:
        if status.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def works(folder: Path, mirror: str) -> dict[str, tuple[Callable[[Store], None], Work]]:
    """Name -> how a store is prepared, and what is done with it. Ablate, study and report find their cells finished, so that
    only records are written."""
    finished, unfinished = folder / "finished", folder / "unfinished"

    def empty(store: Store) -> None:
        pass

    def filled(store: Store) -> None:
        shutil.copytree(finished, store.root, dirs_exist_ok=True)

    def reported(store: Store) -> None:
        """With the report's own folder, so that the calls are those of a report that is written again."""
        filled(store)
        (store.root / "report").mkdir()

    def begun(store: Store) -> None:
        shutil.copytree(unfinished, store.root, dirs_exist_ok=True)

    def damaged(store: Store) -> None:
        """The result, and the weights that it was made with."""
        (weights,) = spoiled(store).glob("best-*")
        weights.write_bytes(weights.read_bytes()[:-1])

    def shabby(store: Store) -> None:
        """What `doctor --repair` repairs: a result, lines, and what a process that died left of a file and of a lock."""
        training = spoiled(store)
        with (training / "metrics.jsonl").open("a") as lines:
            lines.write("torn")
        (training / f".training.json.{0:012x}.part").write_text("{")
        lease = store.root / "locks" / f"{training.name}.lease"
        with store.lock(training.name):
            content = lease.read_bytes()
        lease.write_bytes(content)

    def spoiled(store: Store) -> Path:
        """A store whose one result is torn; returns the training that it is of."""
        filled(store)
        (result,) = store.root.glob("runs/*/result.json")
        result.write_bytes(result.read_bytes()[:-100])
        return store.root / "trainings" / json.loads(result.with_name("experiment.json").read_bytes())["training_key"]

    def run(store: Store, context: Context = HERE) -> Any:
        cell, source = REQUEST.cell(INSTALLED, "base", 0)
        run_cell(cell, store, source, RunOptions(save_every=0), context)
        return numbers(store.root)

    def force(store: Store) -> Any:
        """What was there is kept, once; what is new has its numbers."""
        cell, source = REQUEST.cell(INSTALLED, "base", 0)
        outcome = run_cell(cell, store, source, RunOptions(save_every=0), Context(force=True))
        before = (finished / "runs" / cell.run_id / "result.json").read_bytes()
        kept = [path.read_bytes() for path in store.root.glob("runs/*~*/result.json")].count(before)
        return kept, [outcome.result[name] for name in ("metrics", "metrics_per_frame", "baselines", "run_id")]

    def ablate(store: Store) -> Any:
        plan = Ablation(plan="base", variants=("base",), seeds=(0,), request=REQUEST, third_party=False)
        Runner(plan, store, lambda line: None).run()
        return json.loads(next(store.root.glob("plans/*.json")).read_bytes())["cells"]

    def study(store: Store) -> Any:
        asked = StudyRequest(
            study="loss-weights", variant="base", request=REQUEST, trials=3, sampler="random", third_party=False
        )
        return run_study(asked, store, lambda line: None)["trials"]

    def report(store: Store) -> Any:
        build(store, INSTALLED, store.root / "report")
        return numbers(store.root)

    def repair(store: Store) -> Any:
        """As `doctor --store --repair`. What a failed repair has set aside, its command makes again."""
        repair_store(store, INSTALLED, "cpu", None, lambda line: None)
        return run(store)

    def migrate(store: Store) -> Any:
        old = {kind: sorted(path.name for path in (finished / kind).iterdir()) for kind in ("trainings", "runs")}
        trainings, runs = ({key: f"{number:016x}" for number, key in enumerate(keys)} for keys in old.values())
        rewrite(store, trainings, runs, lambda name, body: body)
        return numbers(store.root)

    def predict(store: Store) -> Any:
        draw_run(store, next(store.runs()), INSTALLED, out := store.root / "sample.png", 0, "cpu", None)
        return hashlib.sha256(out.read_bytes()).hexdigest()

    def fetch(store: Store) -> Any:
        target = mirrors.fetch_digits(store.root / "mnist", [mirror])
        return {name: (target / name).read_bytes() for name in CONTENT}

    Store(finished).root.mkdir()
    for make in (run, study):
        make(Store(finished))
    for made in ("studies", "locks"):
        shutil.rmtree(finished / made)
    try:
        run(Store(unfinished), Context(progress=lambda title: Stopping()))
    except Interrupted:
        shutil.rmtree(unfinished / "locks")
    return {
        "run": (empty, run),
        "resume": (begun, run),
        "force": (filled, force),
        "quarantine": (damaged, run),
        "ablate": (filled, ablate),
        "study": (filled, study),
        "report": (reported, report),
        "repair": (shabby, repair),
        "migrate": (filled, migrate),
        "predict": (filled, predict),
        "fetch": (empty, fetch),
    }


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the stand-ins."""

    def do_GET(self) -> None:
        body = CONTENT[self.path.rsplit("/", 1)[-1].removesuffix(".gz")]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def mirror() -> Iterator[str]:
    """A mirror on this machine, whose files are taken for MNIST's; its address."""
    published = {name: digits.Published(len(body), hashlib.sha256(body).hexdigest()) for name, body in CONTENT.items()}
    digits.MNIST = published
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=functools.partial(httpd.serve_forever, poll_interval=0.02), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="Only every so many-th call.")
    parser.add_argument("--works", help="Only these, by name and joined by commas.")
    parser.add_argument("--without", default="", help="Not these.")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    measure.median_seconds = lambda once, seconds, **options: 1.0  # type: ignore[assignment]
    search.SAVE_SECONDS = math.inf  # a record every 2 s would give a slow study more calls than a fast one
    document: dict[str, Any] = {"sites": {}, "failed": {}, "seconds": {}, "unreached": [], "complaints": []}
    with tempfile.TemporaryDirectory(prefix="sites.") as place, mirror() as address:
        for name, (prepare, work) in works(Path(place), address).items():
            if (asked.works and name not in asked.works.split(",")) or name in asked.without.split(","):
                continue
            began = time.monotonic()
            folder = Path(place) / name
            whole = _new(folder / "expected")
            prepare(whole)
            expected = work(whole)
            found = sites(folder, work, prepare)
            document["sites"][name], document["failed"][name] = len(found), 0
            for number in range(1, len(found) + 1, asked.every):
                try:
                    if fail_each(folder, work, expected.__eq__, [number], prepare):
                        document["unreached"].append(f"{name}: call {number} of {len(found)}, {found[number - 1]}")
                        continue
                except AssertionError as error:
                    document["complaints"].append(f"{name}: {error}")
                document["failed"][name] += 1
            document["seconds"][name] = round(time.monotonic() - began)
    json.dump(document, sys.stdout)


def _new(root: Path) -> Store:
    root.mkdir(parents=True)
    return Store(root)


if __name__ == "__main__":
    main()
