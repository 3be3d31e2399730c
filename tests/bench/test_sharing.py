"""Cells share a machine so that a plan ends soonest, and what ran beside a cell changes nothing in it."""

from __future__ import annotations

import json
from pathlib import Path

import platformdirs
import pytest
from commands import Command

from harness.bench import sharing
from harness.bench.sharing import Measured, Share, best_share, share_machine
from harness.experiment import Experiment
from harness.options import ExecutorOptions
from harness.presets import preset
from harness.runs.request import resolve

ROOMY = 2**40


@pytest.mark.parametrize(
    ("rates", "cells", "cores", "expected"),
    [
        ({1: 10.0, 2: 16.0}, 18, 2, Share(2, 1)),
        ({1: 10.0, 2: 9.0}, 18, 2, Share(1, 0)),
        ({1: 10.0, 2: 16.0}, 1, 2, Share(1, 0)),
        # Three cells: one after the other 3 / 10 = 0.30; two rounds of two 4 / 13 = 0.31, though two at once do more.
        ({1: 10.0, 2: 13.0}, 3, 2, Share(1, 0)),
        ({1: 10.0, 2: 16.0, 4: 20.0, 8: 22.0}, 40, 8, Share(8, 1)),
        ({1: 10.0, 2: 16.0, 4: 20.0, 8: 22.0}, 4, 8, Share(4, 2)),
    ],
)
def test_the_share_is_the_one_that_ends_soonest(rates: dict[int, float], cells: int, cores: int, expected: Share) -> None:
    assert best_share(Measured(rates, 2**20), cells=cells, cores=cores, free_bytes=ROOMY) == expected


def test_no_more_cells_run_than_the_free_memory_holds() -> None:
    measured = Measured({1: 10.0, 2: 16.0, 4: 24.0}, memory_bytes=2**30)
    assert best_share(measured, cells=40, cores=4, free_bytes=3 * 2**30) == Share(2, 2)
    assert best_share(measured, cells=40, cores=4, free_bytes=2**20) == Share(1, 0)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """A machine of two cores on which two cells at once are faster; the number of measurements."""
    calls: list[int] = []

    def measure(experiment: Experiment, digits: Path | None, cores: int) -> Measured:
        calls.append(cores)
        return Measured({1: 10.0, 2: 16.0}, 2**20)

    monkeypatch.setattr(sharing, "measure", measure)
    monkeypatch.setattr(sharing, "cores_here", lambda: 2)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    return calls


def share(experiment: Experiment | None = None, cells: int = 18, device: str = "cpu", **words: object) -> Share | None:
    wanted = resolve(experiment or preset("cpu"), "cpu")
    return share_machine(ExecutorOptions(**words), device, wanted, cells, None, lambda text: None)  # type: ignore[arg-type]


def test_a_machine_is_measured_once(two_cores: list[int], tmp_path: Path) -> None:
    assert share() == share() == Share(2, 1)
    assert two_cores == [2]
    (tmp_path / "ablation-harness" / "sharing.json").write_text("{")
    assert share() == Share(2, 1)
    assert two_cores == [2, 2]
    assert json.loads((tmp_path / "ablation-harness" / "sharing.json").read_text())


def test_what_the_user_says_and_what_time_decides_is_left_alone(two_cores: list[int]) -> None:
    timed = preset("cpu").replace({"training.seconds": 60.0})
    assert [share(workers=3), share(cpus=1.0), share(executor="ray"), share(device="cuda"), share(timed)] == [None] * 5
    assert share(preset("tiny")) is None
    assert share(cells=1) is None
    assert two_cores == []


def test_a_real_measurement_times_every_number_of_processes() -> None:
    measured = sharing.measure(resolve(preset("tiny"), "cpu"), None, 2)
    assert set(measured.rates) == {1, 2}
    assert min(measured.rates.values()) > 0
    assert measured.memory_bytes > 2**20


def test_a_dry_run_estimates_cells_that_share_the_machine(two_cores: list[int], harness: Command, tmp_path: Path) -> None:
    words = (
        "ablate",
        "--plan",
        "base",
        "--seeds",
        2,
        "--preset",
        "tiny",
        "--set",
        "training.steps=500",
        "--store",
        tmp_path,
    )
    found = harness(*words, "--dry-run")
    assert "2 cells at once, threads of each: 1" in found.err
    assert two_cores == [2]


def test_results_do_not_depend_on_how_many_ran_at_once(harness: Command, quick: None, tmp_path: Path) -> None:
    records = []
    for workers in (1, 2):
        root = tmp_path / str(workers)
        words = ("ablate", "--plan", "base,residual", "--seeds", "1", "--preset", "tiny", "--store", root)
        assert harness(*words, "--workers", workers, "--cpus-per-cell", 1).code == 0
        results = {path.parent.name: json.loads(path.read_text()) for path in (root / "runs").glob("*/result.json")}
        records.append({run: result["metrics"] for run, result in results.items()})
    assert len(records[0]) == 2
    assert records[0] == records[1]
