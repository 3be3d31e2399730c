"""Verdicts over tables that others made: the numbers are scipy's and statsmodels', and bad input has one clear answer each."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import Command
from scipy import stats
from statsmodels.stats.multitest import multipletests

import harness as api
from harness.errors import RequestError
from reports.judging.judge import judge

SEEDS = 6
RANDOM = np.random.default_rng(0)
BASE = 0.8 + 0.01 * RANDOM.standard_normal(SEEDS)
ARMS = {
    "base": BASE,
    "better": BASE + 0.02 + 0.002 * RANDOM.standard_normal(SEEDS),
    "worse": BASE - 0.02 + 0.002 * RANDOM.standard_normal(SEEDS),
    "same": BASE + 0.0004 * RANDOM.standard_normal(SEEDS),
    "noisy": BASE + 0.03 * RANDOM.standard_normal(SEEDS),
}
VERDICTS = {"better": "helps", "worse": "hurts", "same": "equivalent", "noisy": "undecided"}


def tidy() -> pd.DataFrame:
    rows = [(arm, seed, value) for arm, values in ARMS.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["arm", "seed", "ssim"])


def save(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path


def verdicts(path: Path, **asked: Any) -> dict[str, str]:
    return {row["arm"]: row["verdict"] for row in judge(path, **asked).document["comparisons"]}


def test_the_numbers_are_those_of_scipy_and_statsmodels(harness: Command, tmp_path: Path) -> None:
    path = save(tidy(), tmp_path / "results.csv")
    document = harness("judge", path, "--json").document
    assert document["reference"] == "base"
    rows = document["comparisons"]
    assert {row["arm"]: row["verdict"] for row in rows} == VERDICTS
    tests = [stats.ttest_rel(ARMS[row["arm"]], BASE) for row in rows]
    holm = multipletests([test.pvalue for test in tests], method="holm")[1]
    order, rejected = np.argsort([test.pvalue for test in tests]).tolist(), int((holm <= 0.05).sum())
    for index, (row, test, adjusted) in enumerate(zip(rows, tests, holm, strict=True)):
        low, high = test.confidence_interval(0.95)
        step = 0.05 / (len(rows) - min(order.index(index), rejected, len(rows) - 1))  # where Holm's procedure tested it
        assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval(1 - step)), rel=1e-9)
        assert (row["low"] > 0 or row["high"] < 0) == (adjusted <= 0.05)
        assert row["difference"] == pytest.approx(np.mean(ARMS[row["arm"]] - BASE), rel=1e-12)
        assert (row["low_alone"], row["high_alone"], row["p_alone"]) == pytest.approx((low, high, test.pvalue), rel=1e-9)
        assert row["p"] == pytest.approx(adjusted, rel=1e-9)


def test_signed_rank_is_scipy_s_exact_test(harness: Command, tmp_path: Path) -> None:
    frame = tidy()
    frame.loc[(frame["arm"] == "better") & (frame["seed"] == 0), "ssim"] += 0.5  # takes the t test its power
    path = save(frame, tmp_path / "results.csv")
    assert verdicts(path)["better"] == "undecided"
    document = harness("judge", path, "--test", "signed-rank", "--json").document
    assert document["plan"]["test"] == "exact Wilcoxon signed-rank over seeds"
    values = frame.pivot(index="seed", columns="arm", values="ssim")
    for row in document["comparisons"]:
        differences = (values[row["arm"]] - values["base"]).to_numpy()
        assert row["p_alone"] == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
        a, b = np.triu_indices(SEEDS)
        assert row["difference"] == pytest.approx(np.median((differences[a] + differences[b]) / 2))
    alone = frame[frame["arm"].isin(["base", "better"])]  # over four arms 6 seeds can never reach 5%: the least p is 2 / 2^6
    assert verdicts(save(alone, tmp_path / "alone.csv"), test="signed-rank") == {"better": "helps"}
    answer = harness("judge", save(tidy().drop(columns="seed"), tmp_path / "unpaired.csv"), "--test", "signed-rank")
    assert (answer.code, "name the column of seeds with --seed" in answer.error) == (2, True)
    assert "choose t, signed-rank" in harness("judge", path, "--test", "welch").error


def test_without_seeds_rows_are_runs_and_the_test_is_welch_s(tmp_path: Path) -> None:
    path = save(tidy().drop(columns="seed"), tmp_path / "results.csv")
    document = judge(path).document
    assert not document["paired"]
    for row in document["comparisons"]:
        test = stats.ttest_ind(ARMS[row["arm"]], BASE, equal_var=False)
        assert row["method"] == "unpaired"
        assert (row["low_alone"], row["high_alone"]) == pytest.approx(tuple(test.confidence_interval(0.95)), rel=1e-9)
        assert row["p_alone"] == pytest.approx(test.pvalue, rel=1e-9)


def test_the_library_judges_files_and_data_frames_as_the_command_does(harness: Command, tmp_path: Path) -> None:
    path = save(tidy(), tmp_path / "results.csv")
    command = harness("judge", path, "--metric", "ssim", "--reference", "base", "--json").document
    called = api.judge(str(path), metrics="ssim", reference="base", out=tmp_path / "page")
    assert called.document == command
    assert "Plan " + command["plan"]["digest"] in (tmp_path / "page" / "report.md").read_text()
    mine = tidy().assign(start=pd.Timestamp("2026-01-05"))
    framed = api.judge(mine, metrics=["ssim"], reference="base").document
    assert framed["comparisons"] == command["comparisons"]
    assert list(mine.columns) == ["arm", "seed", "ssim", "start"], "the caller's frame stays as it was"
    with pytest.raises(RequestError, match="the data frame has no rows"):
        api.judge(mine.head(0))


def test_the_plan_s_digest_rests_on_the_question_not_on_results(tmp_path: Path) -> None:
    def digest(frame: pd.DataFrame, **asked: Any) -> str:
        return str(judge(frame, **asked).document["plan"]["digest"])

    other = tidy().assign(ssim=RANDOM.random(len(tidy())))
    assert digest(tidy()) == digest(other)
    changed = [digest(tidy(), margin=0.01), digest(tidy(), reference="same"), digest(tidy()[tidy()["seed"] > 0])]
    changed += [digest(tidy()[tidy()["arm"] != "worse"]), digest(tidy(), higher_is_better=False)]
    assert len({digest(tidy()), *changed}) == 6


def test_a_lower_is_better_metric_turns_the_verdicts(tmp_path: Path) -> None:
    frame = tidy().rename(columns={"ssim": "badness"})
    turned = {"better": "hurts", "worse": "helps", "same": "equivalent", "noisy": "undecided"}
    assert verdicts(save(frame, tmp_path / "a.csv"), higher_is_better=False, margin=0.005) == turned


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


def test_secondary_metrics_have_families_of_their_own(tmp_path: Path) -> None:
    frame = tidy().assign(mae=lambda f: (1 - f["ssim"]) * 50)
    document = judge(save(frame, tmp_path / "r.csv"), metrics=("ssim", "mae")).document
    (second,) = document["secondary"]
    assert (second["metric"], second["higher_is_better"]) == ("mae", False)
    p = [stats.ttest_rel(ARMS[row["arm"]], BASE).pvalue for row in second["comparisons"]]
    assert [row["p"] for row in second["comparisons"]] == pytest.approx(multipletests(p, method="holm")[1])


def test_costs_are_ratios_to_the_reference_with_intervals(tmp_path: Path) -> None:
    seconds = {arm: 100 * (1 + index) * (1 + 0.01 * np.arange(SEEDS)) for index, arm in enumerate(ARMS)}
    seconds["noisy"] = seconds["noisy"] * np.linspace(0.9, 1.1, SEEDS)
    frame = tidy().assign(seconds=[value for arm in ARMS for value in seconds[arm]])
    rows = {row["arm"]: row["costs"]["seconds"] for row in judge(save(frame, tmp_path / "r.csv")).document["comparisons"]}
    assert rows["better"]["ratio"] == pytest.approx(2.0)
    logs = np.log(seconds["noisy"] / seconds["base"])
    interval = stats.t.interval(0.95, SEEDS - 1, logs.mean(), stats.sem(logs))
    assert (rows["noisy"]["low"], rows["noisy"]["high"]) == pytest.approx(tuple(np.exp(interval)))
    judge(tmp_path / "r.csv").write(tmp_path / "page", False)
    text = (tmp_path / "page" / "report.md").read_text()
    assert "Not beaten by another arm's means (Pareto front) against seconds: base, better." in text
    table = pd.read_csv(tmp_path / "page" / "data" / "costs.csv").set_index("arm")
    assert tuple(table.loc["noisy", ["low", "high"]]) == pytest.approx(tuple(np.exp(interval)))


def test_a_failed_seed_is_a_verdict_of_its_own_and_stays_in_the_family(tmp_path: Path) -> None:
    frame = tidy()
    frame.loc[(frame["arm"] == "better") & (frame["seed"] == 2), "ssim"] = np.inf
    frame.loc[frame["arm"] == "noisy", "ssim"] = np.nan
    found = {row["arm"]: row for row in judge(save(frame, tmp_path / "r.csv")).document["comparisons"]}
    assert (found["better"]["verdict"], found["better"]["failed_seeds"]) == ("failed", [2])
    assert (found["noisy"]["verdict"], found["noisy"]["failed_seeds"]) == ("failed", list(range(SEEDS)))
    assert found["better"]["difference"] is found["noisy"]["p"] is None
    p = stats.ttest_rel(ARMS["worse"], BASE).pvalue
    assert found["worse"]["p"] == pytest.approx(4 * p)  # over four arms, the failed ones too


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


BROKEN = {
    "no file": (None, {}, "is no file"),
    "empty": ("", {}, "has no rows"),
    "header alone": ("arm,seed,ssim\n", {}, "has no rows"),
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
    "rows of unequal length": ("arm,seed,ssim\nbase,0\n", {}, "row 2 has 2 cells where the header has 3"),
    "an arm without a name": ("arm,seed,ssim\nbase,0,1\n,0,1\nb,0,1\n", {}, "row 3 has no 'arm'"),
    "a seed that is missing": ("arm,seed,ssim\nbase,0,1\nb,,1\n", {}, "row 3 has no 'seed'"),
    "the same column twice": ("arm,seed,ssim,ssim\nbase,0,1,2\n", {}, "two columns named 'ssim'"),
    "duplicates that differ": (
        "arm,seed,ssim\nbase,0,1\nb,0,1\nb,0,2\n", {}, "arm 'b' has 2 rows for seed 0 with different values (row 3, row 4)",
    ),
    "a curve": (
        "arm,seed,epoch,ssim\nbase,0,1,1\nbase,0,2,2\nb,0,1,1\n", {}, "they look like a curve over 'epoch'",
    ),
    "a reference without results": ("arm,seed,ssim\nbase,0,nan\nb,0,1\n", {}, "'base' has no finite 'ssim' in any run"),
    "a reference of zeros": (
        "arm,seed,acc\nbase,0,0\nbase,1,0\nb,0,1\nb,1,1\n", {}, "no margin can be derived from it; name one with --margin",
    ),
    "a margin of zero": ("arm,seed,acc\nbase,0,0\nb,0,1\n", {"margin": 0.0}, "the margin must be a positive number"),
    "a chart of groups": (
        "Step,Group: a - ssim,Group: a - ssim__MIN,Group: a - ssim__MAX\n0,1,1,1\n", {}, "is a chart of grouped runs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_bad_input_has_one_clear_answer(case: str, tmp_path: Path) -> None:
    text, asked, message = BROKEN[case]
    path = tmp_path / "results.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RequestError) as raised:
        judge(path, **asked)
    assert message in str(raised.value)


def test_exit_codes_and_one_line(harness: Command, tmp_path: Path) -> None:
    path = save(tidy().rename(columns={"ssim": "u"}), tmp_path / "results.csv")
    answer = harness("judge", path)
    assert answer.code == 2
    assert "--higher-is-better or --lower-is-better" in answer.error
    both = harness("judge", path, "--higher-is-better", "--lower-is-better")
    assert both.code == 2


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00a")
    (tmp_path / "a.jsonl").write_text('{"arm": "base"\n')
    (tmp_path / "b.jsonl").write_text("[1, 2]\n")
    for name, message in (("a.parquet", "cannot read"), ("a.csv", "not UTF-8"), ("a.jsonl", "JSON"), ("b.jsonl", "object")):
        with pytest.raises(RequestError, match=message):
            judge(tmp_path / name)


def test_one_seed_is_undecided_and_says_what_it_takes(tmp_path: Path) -> None:
    frame = tidy()
    (row, *_) = judge(save(frame[frame["seed"] == 0], tmp_path / "r.csv")).document["comparisons"]
    assert (row["verdict"], row["seeds"], row["seeds_needed"]) == ("undecided", 1, 3)
    assert row["low"] is row["p"] is None


def test_constant_results(tmp_path: Path) -> None:
    frame = tidy()
    frame["ssim"] = frame["arm"].map({"base": 0.5, "better": 0.5}).fillna(0.6)
    found = {row["arm"]: row for row in judge(save(frame, tmp_path / "r.csv")).document["comparisons"]}
    assert found["better"]["verdict"] == "equivalent"
    assert found["worse"]["verdict"] == "undecided"
    assert "do seeds act?" in found["worse"]["words"]


def test_rows_that_repeat_count_once(tmp_path: Path) -> None:
    frame = tidy()
    judged = judge(save(pd.concat([frame, frame.head(3)]), tmp_path / "r.csv"))
    assert {row["arm"]: row["verdict"] for row in judged.document["comparisons"]} == VERDICTS
    assert "3 rows repeated another row's run and values: counted once" in judged.notes


def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"arm": np.repeat(["base", "b", "c", "d"], 25_000), "seed": np.tile(np.arange(25_000), 4)})
    frame["ssim"] = 0.8 + 0.01 * random.standard_normal(100_000) + 0.01 * (frame["arm"] == "b")
    path = save(frame, tmp_path / "r.csv")
    assert verdicts(path) == {"b": "helps", "c": "equivalent", "d": "equivalent"}
    ids = frame.assign(arm=np.arange(100_000))
    with pytest.raises(RequestError, match=r"'arm' has 100,000 values in 100,000 rows.*name another column with --arm"):
        judge(save(ids, tmp_path / "ids.csv"))


def test_arms_of_several_columns_and_names_that_hold_the_seed(tmp_path: Path) -> None:
    frame = tidy().assign(lr="0.1")
    document = judge(save(frame, tmp_path / "r.csv"), arm="arm,lr", reference="arm=base, lr=0.1").document
    assert {row["arm"]: row["verdict"] for row in document["comparisons"]}["arm=better, lr=0.1"] == "helps"
    named = frame.assign(Name=frame["arm"] + "_seed" + frame["seed"].astype(str))[["Name", "ssim"]]
    assert verdicts(save(named, tmp_path / "n.csv")) == VERDICTS


def test_it_needs_no_torch(tmp_path: Path) -> None:
    path = save(tidy().assign(seconds=1.0), tmp_path / "results.csv")
    code = f"""
import sys
from harness.cli.app import main
for words in (["judge", {str(path)!r}, "--json"], ["judge", {str(path)!r}, "--out", {str(tmp_path / "page")!r}]):
    try:
        main(words)
    except SystemExit as ended:
        assert not ended.code, ended.code
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page" / "index.html").is_file()
