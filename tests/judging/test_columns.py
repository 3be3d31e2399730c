"""Which column is what: guessed, named, or one clear answer why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from commands import Command
from judged_results import VERDICTS, save, tidy, verdicts

from harness.errors import RequestError
from reports.judging.columns import Asked, read_runs
from reports.judging.judge import judge


def test_what_was_guessed_is_shown_and_a_flag_decides(harness: Command, tmp_path: Path) -> None:
    frame = tidy().assign(model="one", mse=lambda f: 1 - f["ssim"])
    path = save(frame, tmp_path / "results.csv")
    shown = harness("judge", path, "--json")
    assert "arm: arm (guessed; --arm)" in shown.err
    assert "other metrics that were not judged: mse" in shown.err
    words = (
        "--arm",
        "arm",
        "--seed",
        "seed",
        "--metric",
        "mse",
        "--lower-is-better",
        "--reference",
        "same",
        "--margin",
        "0.01",
    )
    found = harness("judge", path, *words, "--json").document
    assert found["guessed"] == []
    assert (found["metric"], found["reference"], found["margin"]) == ("mse", "same", 0.01)
    assert {row["arm"]: row["verdict"] for row in found["comparisons"]}["better"] == "helps"


def test_states_of_runs_count(tmp_path: Path) -> None:
    frame = tidy().assign(State="finished")
    frame.loc[(frame["arm"] == "worse") & (frame["seed"] == 0), "State"] = "crashed"
    again = frame[(frame["arm"] == "better") & (frame["seed"] == 1)].assign(State="failed", ssim=0.1)
    running = frame[(frame["arm"] == "same") & (frame["seed"] == 1)].assign(State="running", seed=99)
    judged = judge(save(pd.concat([frame, again, running]), tmp_path / "r.csv"))
    found = {row["arm"]: row["verdict"] for row in judged.document["comparisons"]}
    assert found == VERDICTS | {"worse": "failed"}
    notes = "\n".join(judged.notes)
    assert "2 runs failed by column 'State'" in notes
    assert "1 run not finished by column 'State': left out" in notes
    assert "1 failed run was run again with the same seed: the finished one counts" in notes


def test_rows_that_repeat_count_once(tmp_path: Path) -> None:
    frame = tidy()
    judged = judge(save(pd.concat([frame, frame.head(3)]), tmp_path / "r.csv"))
    assert {row["arm"]: row["verdict"] for row in judged.document["comparisons"]} == VERDICTS
    assert "3 rows repeated another row's run and values: counted once" in judged.notes


def test_arms_of_several_columns_and_names_that_hold_the_seed(tmp_path: Path) -> None:
    frame = tidy().assign(lr="0.1")
    document = judge(save(frame, tmp_path / "r.csv"), arm="arm,lr", reference="arm=base, lr=0.1").document
    assert {row["arm"]: row["verdict"] for row in document["comparisons"]}["arm=better, lr=0.1"] == "helps"
    named = frame.assign(Name=frame["arm"] + "_seed" + frame["seed"].astype(str))[["Name", "ssim"]]
    assert verdicts(save(named, tmp_path / "n.csv")) == VERDICTS


BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "one arm": ("arm,seed,ssim\na,0,1\na,1,2\n", {"arm": "arm"}, "has one arm, 'a'"),
    "one arm, guessed": ("arm,seed,ssim\na,0,1\na,1,2\n", {}, "column 'arm' has one arm, 'a'; two are needed to compare, or name"),
    "no arm column": ("x,seed,ssim\na,0,1\nb,0,2\n", {}, "which column names the arms? Say --arm NAME"),
    "missing column": ("arm,seed,ssim\na,0,1\nb,0,2\n", {"metrics": ("sim",)}, "unknown column 'sim'; did you mean 'ssim'?"),
    "no metric": ("arm,seed,note\nbase,0,x\nb,0,y\n", {}, "Say --metric NAME; columns of numbers: none"),
    "many metrics": ("arm,seed,u,v\nbase,0,1,2\nb,0,1,2\n", {}, "Say --metric NAME; columns of numbers: u, v"),
    "no direction": ("arm,seed,u\nbase,0,1\nb,0,1\n", {}, "is more of 'u' better? Say --higher-is-better or --lower-is-better"),
    "no reference": ("arm,seed,ssim\na,0,1\nb,0,1\n", {}, "Say --reference NAME: a, b"),
    "unknown reference": ("arm,seed,ssim\na,0,1\nb,0,1\n", {"reference": "c"}, "unknown arm 'c'"),
    "decimal comma": ("arm;seed;ssim\nbase;0;0,9\nb;0;0,8\n", {"metrics": ("ssim",)}, "row 2 has '0,9' in 'ssim'"),
    "words": ("arm,seed,ssim\nbase,0,good\nb,0,0.8\n", {"metrics": ("ssim",)}, "row 2 has 'good' in 'ssim', which is no number"),
    "a word beside another metric": (
        "arm,seed,ssim,mse\nbase,0,0.5,1\nb,0,oops,2\n", {}, "row 3 has 'oops' in 'ssim', which is no number",
    ),
    "seeds as columns": ("arm,seed0,seed1\nbase,0,1\nb,0,1\n", {}, "is more of 'value' (a column for each of 2 seeds) better?"),
    "an arm without a name": ("arm,seed,ssim\nbase,0,1\n,0,1\nb,0,1\n", {}, "row 3 has no 'arm'"),
    "a seed that is missing": ("arm,seed,ssim\nbase,0,1\nb,,1\n", {}, "row 3 has no 'seed'"),
    "duplicates that differ": (
        "arm,seed,ssim\nbase,0,1\nb,0,1\nb,0,2\n", {}, "arm 'b' has 2 rows for seed 0 with different values (row 3, row 4)",
    ),
    "a curve": (
        "arm,seed,epoch,ssim\nbase,0,1,1\nbase,0,2,2\nb,0,1,1\n", {}, "they look like a curve over 'epoch'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_told_apart_has_one_clear_answer(case: str, tmp_path: Path) -> None:
    text, asked, message = BROKEN[case]
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(RequestError) as raised:
        read_runs(tmp_path / "results.csv", Asked(**asked))
    assert message in str(raised.value)
