"""What was published is trained again from its records, and every figure is placed: bit for bit, within the seeds' sd, or not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import stdev

import pytest
from commands import Command
from fake_store import Fake, cell, write_plan, write_run

from harness.runs.reproduce import BITS, NOT, WITHIN, _spread, compare
from harness.runs.request import Request
from harness.store import Folder, Store
from harness.store.bundle import export_bundle, plan_name
from harness.variant import Variants


def test_a_bundle_trains_again_bit_for_bit_and_a_wrong_figure_is_found(
    store: Path, tmp_path: Path, harness: Command, quick: None
) -> None:
    cells = [(name, Request(preset="tiny").cell(Variants(third_party=False), name, 0)[0]) for name in ("base", "tta")]
    write_plan(store, "add-one", cells)
    bundle = export_bundle(Store(store), plan_name(Store(store), ""), tmp_path / "results.zip").path
    fresh = tmp_path / "fresh"
    answer = harness("reproduce", bundle, "--store", fresh, "--json")
    assert answer.code == 0, answer.err
    assert answer.document["counts"] == {BITS: 2}
    for one in answer.document["runs"]:
        there, here = (json.loads((root / "runs" / one["run_id"] / "result.json").read_text()) for root in (store, fresh))
        assert there["metrics_per_frame"] == here["metrics_per_frame"]
        assert {figure["metric"]: figure["published"] for figure in one["figures"]} == there["metrics"]
    # Another figure in the records of one run: that one alone does not agree; what is trained is not trained again.
    run = Folder(store / "runs" / cells[0][1].run_id)
    result = run.read("result.json")
    run.write("result.json", result | {"metrics": result["metrics"] | {"mse": 0.5}})
    answer = harness("reproduce", store, "--store", fresh, "--where", "variant=base")
    assert answer.code == 1
    lines = {line.split()[2]: line for line in answer.out.splitlines()[1:-1]}
    assert lines["mse"].split()[3] == "0.5"
    assert lines["mse"].endswith("  not")
    assert lines["ssim"].endswith("  bit for bit")
    assert answer.out.splitlines()[-1] == "1 run: 1 not"
    shutil.rmtree(fresh)
    assert "no finished run in" in harness("reproduce", bundle, "--store", fresh, "--where", "seed=7").error
    assert "name another folder" in harness("reproduce", store, "--store", store).error


@pytest.mark.parametrize(("here", "agrees"), [(0.50, BITS), (0.515, WITHIN), (0.5201, NOT), (None, NOT)])
def test_a_difference_is_measured_by_the_seeds(here: float | None, agrees: str) -> None:
    spread = stdev([0.50, 0.52, 0.54])
    assert spread == pytest.approx(0.02)

    def result(ssim: float | None) -> dict[str, object]:
        return {
            "variant": "base",
            "preset": "tiny",
            "seed": 0,
            "metrics": {"ssim": ssim},
            "metrics_per_frame": {"ssim": [ssim]},
        }

    found = compare("a" * 16, result(0.50), result(here), {"ssim": spread})
    assert [one.agrees for one in found.figures] == [agrees]
    assert found.agrees == agrees
    # With one seed there is nothing to measure a difference by.
    assert compare("a" * 16, result(0.50), result(0.500001), {}).agrees == NOT


def test_the_sd_is_that_of_one_arm(tmp_path: Path) -> None:
    """Another learning rate of the same variant is another arm, whose difference is no noise."""
    for rate, values in ((0.003, (0.50, 0.51, 0.53)), (0.02, (0.90, 0.91, 0.95))):
        for seed, value in enumerate(values):
            write_run(tmp_path, cell("base", seed, "tiny", {"training.optimizer.lr": rate}), Fake(ssim=value))
    records = [(run.read("experiment.json"), run.read("result.json")) for run in Store(tmp_path).runs()]
    found = sorted(one["ssim"] for one in _spread(records).values())
    assert found == pytest.approx(sorted([stdev((0.50, 0.51, 0.53)), stdev((0.90, 0.91, 0.95))]))
