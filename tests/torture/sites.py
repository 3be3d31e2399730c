"""What writes: a run, a plan's record, a study's records and file, a report. Every call of each fails once."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torture.faults import fail_each, sites
from torture.kills import numbers

from harness import measure
from harness.ablation import Ablation, Runner
from harness.execute import Options, run_cell
from harness.registry import Variants
from harness.request import Request
from harness.store import Store
from harness.studying.command import Conduct, conduct
from reports.ablation import build

REQUEST = Request(
    preset="tiny",
    settings={"training.steps": 3, "training.validate_every": 2, "data.test_sequences": 4, "data.validation_sequences": 4},
)
INSTALLED = Variants(third_party=False)


Work = Callable[[Store], Any]


def works(folder: Path) -> dict[str, tuple[Callable[[Store], None], Work]]:
    """Name -> how a store is prepared, and what is done with it. All but the run find their cells finished, so that only
    records are written."""
    finished = folder / "finished"

    def empty(store: Store) -> None:
        pass

    def filled(store: Store) -> None:
        shutil.copytree(finished, store.root, dirs_exist_ok=True)

    def run(store: Store) -> Any:
        cell, source = REQUEST.cell(INSTALLED, "base", 0)
        run_cell(cell, store, source, Options(save_every=0))
        return numbers(store.root)

    def ablate(store: Store) -> Any:
        plan = Ablation(plan="base", variants=("base",), seeds=(0,), request=REQUEST, third_party=False)
        Runner(plan, store, lambda line: None).run()
        return json.loads(next(store.root.glob("plans/*.json")).read_bytes())["cells"]

    def study(store: Store) -> Any:
        asked = Conduct(study="loss-weights", variant="base", request=REQUEST, trials=3, sampler="random", third_party=False)
        return conduct(asked, store, lambda line: None)["trials"]

    def report(store: Store) -> Any:
        build(store, INSTALLED, store.root / "report")
        return numbers(store.root)

    Store(finished).root.mkdir()
    for make in (run, study):
        make(Store(finished))
    for made in ("studies", "locks"):
        shutil.rmtree(finished / made)
    return {"run": (empty, run), "ablate": (filled, ablate), "study": (filled, study), "report": (filled, report)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="Only every so many-th call.")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    measure.median_seconds = lambda once, seconds, **options: 1.0  # type: ignore[assignment]
    document: dict[str, Any] = {"sites": {}, "failed": {}, "complaints": []}
    with tempfile.TemporaryDirectory(prefix="sites.") as place:
        for name, (prepare, work) in works(Path(place)).items():
            folder = Path(place) / name
            whole = _new(folder / "expected")
            prepare(whole)
            expected = work(whole)
            found = sites(folder, work, prepare)
            document["sites"][name] = len(found)
            try:
                every = range(1, len(found) + 1, asked.every)
                document["failed"][name] = fail_each(folder, work, expected.__eq__, every, prepare)
            except AssertionError as error:
                document["complaints"].append(f"{name}: {error}")
    json.dump(document, sys.stdout)


def _new(root: Path) -> Store:
    root.mkdir(parents=True)
    return Store(root)


if __name__ == "__main__":
    main()
