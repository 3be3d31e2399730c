"""What trackers call runs and figures."""

from __future__ import annotations

import math
from pathlib import Path

from harness.hooks import RunInfo
from trackers import naming


def run(store: Path) -> RunInfo:
    return RunInfo(run_id="r1", training_key="t1", arm="attention(heads=8)", seed=3, preset="cpu", settings={}, store=store)


def test_a_run_s_tags_lead_to_its_record(tmp_path: Path) -> None:
    found = naming.tags(run(tmp_path))
    assert found["harness.show"] == f"harness show r1 --store {tmp_path}"
    assert all(isinstance(value, str) for value in found.values()), "tags are texts everywhere"
    assert naming.title(run(tmp_path)) == "attention(heads=8) seed 3"


def test_the_folder_is_made_in_the_store_and_may_be_there(tmp_path: Path) -> None:
    assert naming.folder(run(tmp_path)) == naming.folder(run(tmp_path)) == tmp_path / "trackers"
    assert (tmp_path / "trackers").is_dir()


def test_only_finite_numbers_are_figures() -> None:
    values = {"a": 1, "b": math.inf, "c": math.nan, "d": None, "e": "5", "f": 0.5}
    assert naming.numbers(values, "test") == {"test/a": 1.0, "test/f": 0.5}


def test_final_figures_of_a_run_and_of_a_training_alone() -> None:
    result = {
        "metrics": {"ssim": 0.6, "mse": None},
        "params": 470_000,
        "baselines": {"blank": {"ssim": 0.4}},
        "training": {"seconds": 12.5, "steps": 1800},
        "inference": {"frames_per_second": 900.0},
    }
    assert naming.final(result) == (
        1800,
        {
            "test/ssim": 0.6,
            "cost/parameters": 470_000.0,
            "baseline/blank/ssim": 0.4,
            "cost/training_seconds": 12.5,
            "cost/frames_per_second": 900.0,
        },
    )
    assert naming.final({"steps": 40, "loss": 0.1, "checkpoint": "best"}) == (
        40,
        {"training/steps": 40.0, "training/loss": 0.1},
    )
    assert naming.final(result | {"training": {"seconds": None, "steps": None}})[0] == 0
