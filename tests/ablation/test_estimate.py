"""What a plan will cost, before it is run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import Command

from harness.experiment import Experiment

QUICK = ("training.steps=2", "training.validate_every=2", "data.test_sequences=2", "data.validation_sequences=2")


def test_a_dry_run_shows_cells_and_an_estimate_and_writes_nothing(tmp_path: Path, harness: Command) -> None:
    settings = [word for setting in QUICK for word in ("--set", setting)]
    store = tmp_path / "store"
    words = ["ablate", "--preset", "tiny", "--plan", "base,curriculum,tta", "--seeds", 2, "--store", store, *settings]
    answer = harness(*words, "--dry-run", "--json")
    assert answer.code == 0, answer.err
    document = answer.document
    assert [cell["status"] for cell in document["cells"]] == ["waiting"] * 6
    assert document["estimate"]["cells"] == 6
    assert document["estimate"]["trainings"] == 4
    assert document["estimate"]["seconds"] > 0
    assert document["estimate"]["memory_bytes"] > 0
    assert not store.exists()


def test_arms_that_differ_in_a_number_are_measured_once_and_those_with_other_work_each(
    tmp_path: Path, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def timed(experiment: Experiment, *_: object) -> tuple[float, float, int]:
        seen.append(experiment.get("architecture.widths"))
        return 2.0 if experiment.get("architecture.widths") == (4, 16) else 1.0, 0.0, 1

    monkeypatch.setattr("harness.bench.estimate.time_steps", timed)
    arms = "base(training.optimizer.lr=0.002),base(loss.ssim.weight=0.5),base(architecture.widths=[4,16])"
    words = ["--preset", "tiny", "--plan", arms, "--seeds", 2, "--store", tmp_path, "--set", "training.steps=3"]
    answer = harness("ablate", *words, "--dry-run", "--json")
    assert answer.code == 0, answer.err
    assert seen == [(4, 8), (4, 16)]
    assert answer.document["estimate"]["seconds"] == 2 * 3 * (3 * 1.0 + 2.0)


def test_arms_whose_budget_is_not_known_yet_take_as_long_as_the_known_ones_and_an_arm_without_a_network_no_time(
    tmp_path: Path, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.bench.estimate.time_steps", lambda *_: (1.0, 0.0, 1))
    words = ["--preset", "tiny", "--seeds", 2, "--store", tmp_path, "--set", "training.steps=3", "--dry-run", "--json"]
    equal = harness("ablate", "--plan", "base,curriculum,attention,residual", "--equal", "seconds", *words)
    assert equal.document["estimate"]["seconds"] == 2 * 4 * 3.0  # only base's are known
    untrained = harness("ablate", "--plan", "base,base(inference.predictor=blank)", *words)
    assert untrained.document["estimate"]["seconds"] == 2 * 3.0


def test_steps_are_measured_with_the_threads_of_a_cell(
    tmp_path: Path, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(
        "harness.bench.estimate.time_steps", lambda *_: seen.append(torch.get_num_threads()) or (1.0, 0.0, 1)
    )
    words = ["--preset", "tiny", "--plan", "base", "--seeds", 2, "--store", tmp_path, "--dry-run"]
    assert harness("ablate", *words, "--workers", 1, "--cpus-per-cell", before + 1).code == 0
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
