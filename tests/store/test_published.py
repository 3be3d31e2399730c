"""The published runs: their records hold what their keys were made of, and an upgrade makes no two runs one, nor one run two."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from harness.experiment import Experiment
from harness.store import Cell, Run, key_of
from harness.variant import Variants

RESULTS = Path(__file__).parents[2] / "docs" / "results"
RUNS = sorted(path.parent for path in RESULTS.glob("**/records/runs/*/experiment.json"))
INSTALLED = Variants(third_party=False)


def raw(folder: Path) -> dict[str, Any]:
    """The record as it lies there, not upgraded."""
    return dict(json.loads((folder / "experiment.json").read_text()))


OLD = [folder for folder in RUNS if raw(folder)["format"] < 3]
"""Those whose keys are of the formula before format 3."""


def keys_of_format_2(record: dict[str, Any]) -> tuple[str, str]:
    """The training's key and the run's id, as versions of format 2 made them."""
    experiment, identity = record["experiment"], record["identity"]
    data = {key: one for key, one in experiment["data"].items() if key not in ("frames", "evaluation", "test_sequences")}
    parts = {name: experiment[name] for name in ("architecture", "loss", "training")}
    training = key_of({"numerics": record["numerics"], "train": identity["train"], "data": data} | parts)
    run = {
        "training": training,
        "inference": experiment["inference"],
        "evaluation": identity["evaluation"],
        "test_sequences": experiment["data"]["test_sequences"],
    }
    return training, key_of(run)


def keys_of_today(folder: Path) -> tuple[str, str]:
    """The keys of the upgraded record under the revision that trained it."""
    record = Run(folder).read("experiment.json")
    cell = Cell(
        variant=record["variant"],
        preset=record["preset"],
        experiment=Experiment.from_dict(record["experiment"], INSTALLED.components.find),
        identity=record["identity"],
        revision=record["revisions"]["training"],
    )
    return cell.training_key, cell.run_id


def test_every_published_run_recomputes_to_its_recorded_keys() -> None:
    counts = Counter(folder.parts[-4] for folder in OLD)
    assert counts == {"2026-11-23-cpu": 18, "2026-11-24-cpu": 30}
    assert len(OLD) < len(RUNS)
    for folder in RUNS:
        record = raw(folder)
        keys = keys_of_format_2(record) if folder in OLD else keys_of_today(folder)
        assert keys == (record["training_key"], record["run_id"])
        assert folder.name == record["run_id"]


def test_equal_keys_stay_equal_and_different_ones_different_after_the_upgrade() -> None:
    pairs = [(keys_of_format_2(raw(folder)), keys_of_today(folder)) for folder in OLD]
    for kind in (0, 1):
        moves = {(old[kind], new[kind]) for old, new in pairs}
        assert len(moves) == len({old for old, _ in moves}) == len({new for _, new in moves})
