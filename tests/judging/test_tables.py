"""Files of results in the shapes that people and tools write, and files that are no tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judged_results import VERDICTS, save, tidy

from harness.errors import RequestError
from reports.judging import tables
from reports.judging.judge import judge


def wide(path: Path) -> Path:
    return save(tidy().pivot(index="arm", columns="seed", values="ssim").reset_index(), path / "wide.csv")


def wide_of_two_metrics(path: Path) -> Path:
    made = tidy().assign(mse=lambda frame: 100 * (1 - frame["ssim"])).pivot(index="arm", columns="seed")
    made.columns = [f"{metric}_seed{seed}" for metric, seed in made.columns]
    return save(made.reset_index(), path / "wide2.csv")


def long(path: Path) -> Path:
    made = tidy().assign(mse=1.0).melt(["arm", "seed"], var_name="metric")
    return save(made.assign(higher_is_better=made["metric"] == "ssim"), path / "long.csv")


def parquet(path: Path) -> Path:
    tidy().to_parquet(path / "results.parquet")
    return path / "results.parquet"


def json_lines(path: Path) -> Path:
    rows = [
        {"config": {"variant": row.arm, "seed": row.seed}, "summary": {"test": {"ssim": row.ssim}}}
        for row in tidy().itertuples()
    ]
    (path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path / "results.jsonl"


def wandb_runs(path: Path) -> Path:
    """Runs grouped by arm, as the table of runs is exported: text in quotes, states, empty notes, the runtime in seconds."""
    rows = [
        {
            "Name": f"run-{index}", "State": "finished", "Notes": "-", "User": "me", "Tags": "", "Group": row.arm,
            "Created": "2026-01-05T10:00:00.000Z", "Runtime": 100 + index, "Sweep": "", "seed": row.seed, "lr": 0.001,
            "train/loss": 0.1, "test/ssim": row.ssim,
        }
        for index, row in enumerate(tidy().itertuples())
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(path / "wandb.csv", index=False, quoting=csv.QUOTE_ALL)
    return path / "wandb.csv"


def wandb_chart(path: Path) -> Path:
    """A chart's export: a column for each run with its minimum and maximum beside it, a row for each step."""
    columns: dict[str, list[float]] = {"Step": [0, 1, 2]}
    for row in tidy().itertuples():
        for end in ("", "__MIN", "__MAX"):
            columns[f"{row.arm}-seed{row.seed} - test/ssim{end}"] = [0.1, row.ssim, np.nan]
    return save(pd.DataFrame(columns), path / "chart.csv")


def mlflow_frame(path: Path) -> Path:
    """What `mlflow.search_runs().to_csv()` writes: an index without a name, parameters as text, times of start and end."""
    rows = [
        {
            "run_id": f"{index:032x}", "experiment_id": "0", "status": "FINISHED", "artifact_uri": f"file:///runs/{index}",
            "start_time": "2026-01-05 10:00:00+00:00", "end_time": "2026-01-05 10:05:00+00:00", "metrics.ssim": row.ssim,
            "metrics.train_seconds": 300.0 + index, "params.lr": "0.001", "params.variant": row.arm,
            "params.seed": str(row.seed), "tags.mlflow.runName": f"bold-crow-{index}", "tags.mlflow.user": "me",
        }
        for index, row in enumerate(tidy().itertuples())
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(path / "mlflow.csv")
    return path / "mlflow.csv"


SHAPES = (wide, wide_of_two_metrics, long, parquet, json_lines, wandb_runs, wandb_chart, mlflow_frame)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_public_shapes_give_the_verdicts_of_the_tidy_table(shape: Any, tmp_path: Path) -> None:
    asked = {"higher_is_better": True, "margin": 0.005} if shape is wide else {}
    found, expected = judge(shape(tmp_path), **asked).document, judge(save(tidy(), tmp_path / "tidy.csv")).document
    by_arm = {row["arm"]: row for row in expected["comparisons"]}
    assert found["paired"]
    assert {row["arm"]: row["verdict"] for row in found["comparisons"]} == VERDICTS
    for row in found["comparisons"]:
        for name in ("difference", "low", "high", "p"):
            assert row[name] == pytest.approx(by_arm[row["arm"]][name], rel=1e-9)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00a")
    (tmp_path / "a.jsonl").write_text('{"arm": "base"\n')
    (tmp_path / "b.jsonl").write_text("[1, 2]\n")
    for name, message in (("a.parquet", "cannot read"), ("a.csv", "not UTF-8"), ("a.jsonl", "JSON"), ("b.jsonl", "object")):
        with pytest.raises(RequestError, match=message):
            judge(tmp_path / name)


NO_TABLES: dict[str, tuple[str | None, str]] = {
    "no file": (None, "is no file"),
    "empty": ("", "has no rows"),
    "header alone": ("arm,seed,ssim\n", "has no rows"),
    "rows of unequal length": ("arm,seed,ssim\nbase,0\n", "row 2 has 2 cells where the header has 3"),
    "the same column twice": ("arm,seed,ssim,ssim\nbase,0,1,2\n", "two columns named 'ssim'"),
    "a chart of groups": (
        "Step,Group: a - ssim,Group: a - ssim__MIN,Group: a - ssim__MAX\n0,1,1,1\n", "is a chart of grouped runs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_TABLES)
def test_what_is_no_table_of_runs_has_one_clear_answer(case: str, tmp_path: Path) -> None:
    text, message = NO_TABLES[case]
    if text is not None:
        (tmp_path / "results.csv").write_text(text)
    with pytest.raises(RequestError) as raised:
        tables.read(tmp_path / "results.csv")
    assert message in str(raised.value)
