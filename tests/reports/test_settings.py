"""What reports know of settings by name, and the one place that reads them from a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_store import cell, write_run

from harness.errors import HarnessError
from harness.library import open_store
from harness.registry import Components
from harness.store import Folder, Store
from reports.analysis import settings
from reports.analysis.groups import context_of, differences
from reports.analysis.overview import analyse
from reports.analysis.reading import read_store
from reports.analysis.records import settings_of

USUAL = settings_of(cell("base", 0).record())


def test_every_path_that_reports_know_is_a_setting() -> None:
    known = {settings.SEED, settings.STEPS, settings.SECONDS, settings.PRECISION, settings.TEST_SEQUENCES}
    known |= {
        *settings.RATES.values(),
        *settings.BUDGET,
        f"{settings.MSE}{settings.WEIGHT}",
        f"{settings.SSIM}{settings.START}",
    }
    assert known <= set(USUAL)
    assert set(Components(third_party=False).settings()) >= settings.FILES


@pytest.mark.parametrize("experiment", [None, [], {"training": None}, {"training": {}, "loss": 3}])
def test_a_record_without_an_experiment_is_damaged(experiment: object) -> None:
    with pytest.raises(HarnessError, match="run abc has no usable 'experiment'"):
        settings_of({"run_id": "abc", "experiment": experiment})


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"loss.mse.weight": 1.0, "loss.ssim.weight": 0.0}, "MSE", "1 MSE"),
        ({"loss.mse.weight": 0.0, "loss.ssim.weight": 1.0}, "SSIM", "1 (1 - SSIM)"),
        ({"loss.mae.weight": 1.0}, "other", "1 MAE"),
        ({"loss.focal.weight": 0.5, "loss.focal.gamma": 2}, "other", "0.5 focal; SSIM off for the first 20%"),
        ({"loss.focal.weight": 0.5, "loss.focal.gamma": 2}, "other", "; loss.focal.gamma 2"),
        ({"loss.ssim.start": 0.0, "loss.ssim.ramp": 0.0}, "MSE + SSIM", "0.7 MSE + 0.3 (1 - SSIM)"),
    ],
)
def test_a_loss_has_a_kind_and_words(changes: dict[str, Any], kind: str, words: str) -> None:
    assert settings.loss_kind(USUAL | changes) == kind
    assert words in settings.loss_words(USUAL | changes)
    assert settings.loss_words({}) == "no loss recorded"


def test_another_rate_may_take_other_steps_for_as_many_sequences() -> None:
    pair = [USUAL, USUAL | {settings.BATCH: 32, settings.STEPS: 900}]
    assert settings.is_rate([settings.RATE], pair)
    assert settings.is_rate([settings.BATCH, settings.STEPS], pair)
    assert not settings.is_rate([settings.BATCH, settings.STEPS], [USUAL, pair[1] | {settings.STEPS: 800}])
    assert not settings.is_rate([settings.STEPS], [USUAL, USUAL | {settings.STEPS: None}])
    assert not settings.is_rate([settings.RATE, "loss.mse.weight"], pair)
    assert not settings.is_rate([], pair)


def test_a_metric_more_does_not_split_a_table_and_another_setting_does(tmp_path: Path) -> None:
    write_run(tmp_path, cell("base", 0))
    (run,) = read_store(Store(tmp_path)).runs
    more = replace(run, settings=run.settings | {"metrics.csi": "csi", "metrics.csi.thresholds": [0.5]})
    assert context_of(more) == context_of(run)
    other = replace(run, settings=run.settings | {"training.batch_size": 3})
    assert differences(context_of(other), context_of(run)) == ["training.batch_size"]


def test_runs_from_before_a_setting_are_compared_with_those_that_have_it_at_neutral(tmp_path: Path) -> None:
    for seed in range(3):
        for name in ("base", "tta"):
            write_run(tmp_path, cell(name, seed, "tiny"))
    for path in (tmp_path / "runs").iterdir():
        record = (folder := Folder(path)).read("experiment.json")
        if record["variant"] == "base":
            record["experiment"]["inference"].pop("predictor")
            record["experiment"]["training"].pop("data_order")
            folder.write("experiment.json", {key: value for key, value in record.items() if key not in ("format", "sha256")})
    (group,) = analyse(read_store(Store(tmp_path))).groups
    (comparison,) = group.comparisons.values()
    assert (comparison.name, comparison.seeds) == ("tta", (0, 1, 2))
    assert open_store(tmp_path).verdicts()["seeds"].tolist() == [3]
