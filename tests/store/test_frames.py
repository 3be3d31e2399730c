"""Tidy frames of a store: what the records hold, once, in columns that other programs join and group."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from commands import Command
from listed_stores import write_plan_and_a_rate

import harness as library
from harness.errors import RequestError
from harness.results import Results

DOCS = Path(__file__).resolve().parents[2] / "docs/data-frames.md"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plan_and_a_rate(tmp_path_factory.mktemp("frames") / "store")


@pytest.fixture(scope="module")
def found(root: Path) -> Results:
    return library.open_store(root)


def results(root: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in root.glob("runs/*/result.json")}


def test_every_value_of_the_records_is_there_once(root: Path, found: Results) -> None:
    records = results(root)
    runs = found.frame("runs").set_index("run_id")
    assert set(runs.index) == set(records)
    assert runs["ssim"].to_dict() == {name: one["metrics"]["ssim"] for name, one in records.items()}
    assert {"training.optimizer.lr", "architecture.bottleneck"} <= set(runs.columns)
    assert not {"training.seed", "data.canvas"} & set(runs.columns)
    metrics = found.frame("metrics")
    assert len(metrics) == sum(len(one["metrics"]) for one in records.values())
    by_frame = found.frame("by-frame")
    for name, one in records.items():
        mine = by_frame[(by_frame.run_id == name) & (by_frame.metric == "mse")].sort_values("frame")
        assert mine[mine.variant == one["variant"]].value.tolist() == one["metrics_per_frame"]["mse"]
        assert mine[mine.variant == "blank frame"].value.tolist() == one["baselines_per_frame"]["blank"]["mse"]
    logs = {path.parent.name: path.read_text() for path in root.glob("trainings/*/metrics.jsonl")}
    validations = found.frame("validations")
    for name, one in records.items():
        lines = [json.loads(line) for line in logs[one["training_key"]].splitlines()]
        expected = {line["step"]: line["validation"]["ssim"] for line in lines if "validation" in line}
        mine = validations[(validations.run_id == name) & (validations.metric == "ssim")]
        assert dict(zip(mine.step, mine.value, strict=True)) == expected


def test_comparisons_are_the_reports(root: Path, found: Results) -> None:
    (row,) = [one for one in found.frame("comparisons").to_dict("records") if one["metric"] == "ssim"]
    by_arm: dict[str, dict[int, float]] = {"base": {}, "attention": {}}
    for one in found:
        if one.record["experiment"]["training"]["optimizer"]["lr"] != 0.01:
            by_arm[one.variant][one.seed] = one.record["metrics"]["ssim"]
    assert row["arm"] == "attention"
    assert row["difference"] == pytest.approx(mean(by_arm["attention"][seed] - by_arm["base"][seed] for seed in range(4)))
    with pytest.raises(RequestError, match=r"unknown frame 'curves'; choices: by-frame, comparisons, metrics"):
        found.frame("curves")


def test_the_examples_of_the_docs_run(root: Path, tmp_path: Path, harness: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of pandas always, DuckDB's where it is installed: the harness does not need it."""
    assert harness("frame", "--store", root, "--out", tmp_path / "frames").code == 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_STORE", str(root))
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        if "import duckdb" not in block or find_spec("duckdb"):
            exec(block, names)
    records = results(root)
    base = [one["metrics"]["ssim"] for one in records.values() if one["variant"] == "base" and one["seed"] == 1]
    assert names["by_arm"].loc[1, "base"] == pytest.approx(mean(base))
    assert len(names["curve"]) > 1
