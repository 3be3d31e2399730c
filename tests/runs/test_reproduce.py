"""Figures that were trained again are placed: bit for bit, within the seeds' sd, or not."""

from __future__ import annotations

from pathlib import Path
from statistics import stdev

import pytest
from fake_store import Fake, cell, write_run

from harness.runs.reproduce import BITS, NOT, WITHIN, _spread, compare
from harness.store import Store


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
