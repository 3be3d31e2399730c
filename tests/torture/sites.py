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


def works(folder: Path) -> dict[str, Callable[[Store], Any]]:
    """Name -> what is done with a store. All but the run find their cells finished, so that only records are written."""
    finished = folder / "finished"

    def prepared(store: Store) -> Store:
        if not any(store.root.iterdir()):
            shutil.copytree(finished, store.root, dirs_exist_ok=True)
        return store

    def run(store: Store) -> Any:
        cell, source = REQUEST.cell(INSTALLED, "base", 0)
        run_cell(cell, store, source, Options(save_every=0))
        return numbers(store.root)

    def ablate(store: Store) -> Any:
        plan = Ablation(plan="base", variants=("base",), seeds=(0,), request=REQUEST, third_party=False)
        Runner(plan, prepared(store), lambda line: None).run()
        return json.loads(next(store.root.glob("plans/*.json")).read_bytes())["cells"]

    def study(store: Store) -> Any:
        asked = Conduct(study="loss-weights", variant="base", request=REQUEST, trials=3, sampler="random", third_party=False)
        return conduct(asked, prepared(store), lambda line: None)["trials"]

    def report(store: Store) -> Any:
        build(prepared(store), INSTALLED, store.root / "report")
        return numbers(store.root)

    Store(finished).root.mkdir()
    for make in (run, study):
        make(Store(finished))
    for made in ("studies", "locks"):
        shutil.rmtree(finished / made)
    return {"run": run, "ablate": ablate, "study": study, "report": report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="Only every so many-th call.")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    measure.median_seconds = lambda once, seconds, **options: 1.0  # type: ignore[assignment]
    document: dict[str, Any] = {"sites": {}, "failed": {}, "complaints": []}
    with tempfile.TemporaryDirectory(prefix="sites.") as place:
        for name, work in works(Path(place)).items():
            folder = Path(place) / name
            expected = work(_new(folder / "expected"))
            found = sites(folder, work)
            document["sites"][name] = len(found)
            try:
                document["failed"][name] = fail_each(folder, work, expected.__eq__, range(1, len(found) + 1, asked.every))
            except AssertionError as error:
                document["complaints"].append(f"{name}: {error}")
    json.dump(document, sys.stdout)


def _new(root: Path) -> Store:
    root.mkdir(parents=True)
    return Store(root)


if __name__ == "__main__":
    main()
