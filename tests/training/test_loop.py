"""One loop for all variants: what it promises about budgets, schedules, steps that fail, and stopping early."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from trainings import (
    CPU,
    Data,
    Noisy,
    PowerCut,
    Taken,
    Watched,
    assert_same_training,
    cell_of,
    cut_at,
    poison,
    switches,
    train,
)

from harness.data.source import Source
from harness.errors import HarnessError, RequestError
from harness.evaluation import evaluate as evaluation
from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.store import Store
from harness.training import build, checkpoint, loop
from harness.training.blank import Blank
from harness.training.terms import LossTerm

# --- budgets and schedules


def test_a_budget_in_steps(source: Source, tmp_path: Path, taken: list[Taken]) -> None:
    cell, _ = cell_of({"training.steps": 5}, source=source)
    summary, _ = train(cell, source, tmp_path)
    assert summary["steps"] == len(taken) == 5
    assert summary["sequences"] == 20
    assert not summary["stopped_early"]


def test_a_budget_in_epochs_becomes_steps_rounded_up(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.epochs": 0.3}, source=source)  # 0.3 * 64 sequences in batches of 4: 4.8
    summary, _ = train(cell, source, tmp_path)
    assert summary["steps"] == 5


def test_a_budget_in_seconds_counts_training_alone(
    source: Source, tmp_path: Path, taken: list[Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))  # every step takes a second: it asks twice
    cell, _ = cell_of({"training.seconds": 8.0, "training.validate_every": 2}, source=source)
    statuses = Watched()
    summary, _ = train(cell, source, tmp_path, progress=statuses)
    assert summary["steps"] == 8
    assert summary["seconds"] + summary["warm_up_seconds"] == 8
    assert summary["sequences_per_second"] == 4
    rates = [one.rate for one in taken]
    assert rates.index(max(rates)) in (2, 3)  # the peak at three tenths of the time
    assert [round(status.done * 8) for status in statuses.statuses] == list(range(9))
    assert statuses.statuses[4].seconds_left == pytest.approx(4)


def test_a_budget_in_seconds_goes_on_counting_after_a_stop(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    cell, _ = cell_of({"training.seconds": 8.0, "training.validate_every": 2}, source=source)
    with pytest.raises(PowerCut):
        train(cell, cut_at(4, source), tmp_path)
    assert train(cell, source, tmp_path)[0]["steps"] == 8


def test_the_speed_and_the_time_left_after_a_resume_are_those_of_this_process(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, _ = cell_of({"training.steps": 10, "training.validate_every": 2}, source=source)
    slow, fast = count(0, 100), count()  # a step asks the clock twice: it takes 100 seconds, then one
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(slow)))
    with pytest.raises(PowerCut):
        train(cell, cut_at(4, source), tmp_path)
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(fast)))
    shown = Watched()
    summary, _ = train(cell, source, tmp_path, progress=shown)
    by_step = {status.step: status for status in shown.statuses}
    assert (by_step[4].sequences_per_second, by_step[4].seconds_left) == (None, None)
    assert (by_step[8].sequences_per_second, by_step[8].seconds_left) == (4.0, pytest.approx(2.0))
    assert summary["seconds"] > 100  # the record is of the whole training


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_one_cycle_is_stepped_every_batch(
    steps: int, source: Source, tmp_path: Path, taken: list[Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    cell, _ = cell_of({"training.steps": steps, "training.optimizer.lr": 2e-3}, source=source)
    _, folder = train(cell, source, tmp_path)
    ours = [(one.rate, one.beta1) for one in taken]
    optimizer = torch.optim.SGD(
        [nn.Parameter(torch.zeros(1))], momentum=0.9
    )  # what the schedule does to beta1, it does to this
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.3)
    theirs = []
    for _ in range(steps):
        theirs.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        schedule.step()
    for (rate, beta1), (their_rate, their_beta1) in zip(ours, theirs, strict=True):
        assert (rate, beta1) == pytest.approx((their_rate, their_beta1), rel=1e-9)
    logged = [line["learning_rate"] for line in folder.lines("metrics.jsonl") if "learning_rate" in line]
    assert logged == [rate for rate, _ in ours]


def test_gradients_are_clipped(source: Source, tmp_path: Path, taken: list[Taken]) -> None:
    for clip in (0.0, 1e-3):
        cell, _ = cell_of({"training.clip_norm": clip}, source=source)
        train(cell, source, tmp_path)
    free, clipped = taken[:6], taken[6:]
    assert free[0].gradient_norm > 0.01
    assert [one.gradient_norm for one in clipped] == pytest.approx([1e-3] * 6, rel=1e-2)


def test_the_horizon_of_a_curriculum_reaches_the_batches(source: Source, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    cell, _ = cell_of({"training.steps": 8}, "curriculum", source)
    train(cell, Data(source, lambda step, horizon, batch: seen.append((horizon, batch.shape[1]))), tmp_path)
    assert seen == [(2, 5)] * 4 + [(3, 6)] * 4
    assert {horizon for horizon, _ in seen[-1:]} == {cell.experiment.data.horizon}


def test_the_weight_of_ssim_rises_as_configured(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, float]] = []
    loss = build.composite_loss

    def watched(prediction: Tensor, target: Tensor, terms: tuple[LossTerm, ...], progress: float) -> Tensor:
        seen.append({term.name: term.weight_at(progress) for term in terms})
        return loss(prediction, target, terms, progress)

    monkeypatch.setattr(build, "composite_loss", watched)
    cell, _ = cell_of({"training.steps": 10, "loss.ssim_from": 0.2, "loss.ssim_ramp": 0.4}, source=source)
    train(cell, source, tmp_path)
    assert [one["ssim"] for one in seen] == pytest.approx([0, 0, 0, 0.075, 0.15, 0.225, 0.3, 0.3, 0.3, 0.3])
    assert {one["mse"] for one in seen} == {0.7}


def test_training_lowers_the_loss(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.steps": 60, "training.optimizer.lr": 1e-2}, source=source)
    progress = Watched()
    train(cell, source, tmp_path, progress=progress)
    losses = [status.loss for status in progress.statuses if status.loss is not None]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


# --- steps that are not finite


def test_a_loss_that_is_not_finite_skips_the_step(source: Source, tmp_path: Path, taken: list[Taken]) -> None:
    cell, _ = cell_of(source=source)
    progress = Watched()
    summary, _ = train(cell, Data(source, poison(2, 4)), tmp_path, progress=progress)
    assert summary["skipped_steps"] == 2
    assert summary["steps"] == 6
    assert len(taken) == 4
    for earlier, later in pairwise(taken):
        assert all(torch.equal(a, b) for a, b in zip(earlier.after, later.before, strict=True))
    assert summary["validation_ssim"] is not None


def test_a_gradient_that_is_not_finite_skips_the_step(
    source: Source, tmp_path: Path, taken: list[Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = build.composite_loss
    # Zero, with a derivative that is not a number.
    monkeypatch.setattr(build, "composite_loss", lambda p, t, *given: loss(p, t, *given) + (p * 0).sqrt().sum())
    cell, _ = cell_of(source=source)
    summary, _ = train(cell, source, tmp_path)
    assert summary["skipped_steps"] == summary["steps"] == 6
    assert not taken


def test_too_many_in_a_row_stop_the_run_with_its_state_kept(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.steps": 12, "training.max_skipped": 2, "training.validate_every": 100}, source=source)
    bad = Data(source, poison(0, 1, 3, 4, 5))
    with pytest.raises(HarnessError, match=r"diverged: the last 3 steps up to step 6.*training.optimizer.lr") as caught:
        train(cell, bad, tmp_path)
    folder = Store(tmp_path).training(cell)
    assert str(folder.path) in str(caught.value)
    assert caught.value.exit_code == 1
    with safe_open(folder.path / "last.safetensors", framework="pt") as file:
        state = json.loads(file.metadata()["state"])
    assert (state["step"], state["skipped"], state["skipped_in_a_row"]) == (6, 5, 3)
    assert all(t.isfinite().all() for t in load_file(folder.path / "last.safetensors").values())
    summary, _ = train(cell, source, tmp_path)
    assert (summary["steps"], summary["skipped_steps"]) == (12, 5)


def test_without_one_finite_validation_the_last_weights_are_the_result(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_validation(monkeypatch, iter([float("nan")] * 10))
    cell, _ = cell_of(source=source)
    summary, folder = train(cell, source, tmp_path)
    assert (summary["best_step"], summary["validation_ssim"]) == (6, None)
    last, best = load_file(folder.path / "last.safetensors"), load_file(folder.path / summary["checkpoint"])
    assert all(torch.equal(last[f"model.{name}"], tensor) for name, tensor in best.items())


# --- early stopping


def script_validation(monkeypatch: pytest.MonkeyPatch, answers: Iterator[float]) -> None:
    class Scripted:
        def __init__(self, metrics: Any) -> None: ...

        def add(self, counts_BTK: dict[str, Tensor]) -> None:
            assert not any(one.requires_grad for one in counts_BTK.values())

        def overall(self) -> dict[str, float]:
            return {"ssim": next(answers)}

    monkeypatch.setattr(evaluation, "MetricMean", Scripted)
    monkeypatch.setattr(Blank, "predictors", {})
    monkeypatch.setattr(Blank, "compare", lambda *arguments: None)


def test_early_stopping_stops_and_keeps_the_best(
    source: Source, tmp_path: Path, taken: list[Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    script_validation(monkeypatch, iter([0.1, 0.5, 0.4, 0.5, 0.9]))  # equal is not better
    cell, _ = cell_of({"training.steps": 30, "training.validate_every": 2, "training.patience": 2}, source=source)
    summary, folder = train(cell, source, tmp_path)
    assert (summary["steps"], summary["stopped_early"]) == (8, True)
    assert (summary["best_step"], summary["validation_ssim"]) == (4, 0.5)
    assert [path.name for path in folder.path.glob("best-*")] == [summary["checkpoint"]] == ["best-00000004.safetensors"]
    best = checkpoint.load_model(cell.experiment, source.shape, folder.path / summary["checkpoint"], CPU)
    assert not best.training
    assert all(torch.equal(kept, then) for kept, then in zip(best.parameters(), taken[3].after, strict=True))


def test_validation_does_not_disturb_training(source: Source, tmp_path: Path) -> None:
    often, seldom = (
        cell_of({"training.validate_every": every, "architecture.bottleneck": Noisy()}, source=source)[0] for every in (1, 6)
    )
    one, other = (train(cell, source, tmp_path)[1] for cell in (often, seldom))
    tensors, others = (load_file(folder.path / "last.safetensors") for folder in (one, other))
    assert all(torch.equal(tensors[name], others[name]) for name in others)


# --- arithmetic and switches


def test_float16_on_the_cpu_is_refused(source: Source) -> None:
    with pytest.raises(RequestError, match="float16 needs CUDA"):
        cell_of({"training.precision": "float16"}, source=source)


def test_bfloat16_on_the_cpu_trains_float32_weights(source: Source, tmp_path: Path, taken: list[Taken]) -> None:
    weights = []
    for precision in ("bfloat16", "float32"):
        cell, _ = cell_of({"training.precision": precision, "training.steps": 2}, "residual+attention", source)
        summary, folder = train(cell, source, tmp_path)
        assert summary["skipped_steps"] == 0
        assert summary["validation_ssim"] is not None
        weights.append(load_file(folder.path / "last.safetensors")["model.encoder.0.state_weight"])
    assert {weight.dtype for weight in weights} == {torch.float32}
    assert not torch.equal(*weights)
    assert all(weight.dtype == torch.float32 for one in taken for weight in one.after)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("deterministic", [False, True])
def test_global_switches_are_set_and_put_back(deterministic: bool, fails: bool, source: Source, tmp_path: Path) -> None:
    before = switches()
    during = []

    def look(step: int, horizon: int, batch: Tensor) -> None:
        during.append(torch.are_deterministic_algorithms_enabled())
        if fails and step == 2:
            raise PowerCut

    cell, _ = cell_of(source=source)
    try:
        train(cell, Data(source, look), tmp_path, deterministic=deterministic)
    except PowerCut:
        assert fails
    assert during
    assert set(during) == {deterministic}
    assert switches() == before


def test_the_oracle_trains_and_tests_the_same_cell_but_for_rounding(
    source: Source, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.model import cell as layers

    cell, _ = cell_of(source=source)
    fast = run_cell(cell, Store(tmp_path / "fast"), source).result
    called: list[bool] = []
    plain = layers.plain_convlstm

    def counted(*args: Any, **options: Any) -> Any:
        called.append(torch.is_grad_enabled())
        return plain(*args, **options)

    monkeypatch.setattr(layers, "plain_convlstm", counted)
    reference = run_cell(cell, Store(tmp_path / "reference"), source, RunOptions(reference=True)).result
    assert {*called} == {True, False}
    assert reference["run_id"] == fast["run_id"]
    assert reference["metrics"] == pytest.approx(fast["metrics"], rel=1e-3)


def test_deterministic_mode_changes_nothing_on_the_cpu(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.steps": 3}, "attention", source)
    _, one = train(cell, source, tmp_path / "a")
    _, other = train(cell, source, tmp_path / "b", deterministic=True)
    assert_same_training(one, other)


# --- what it tells, and what decides


def test_progress_tells_every_step(source: Source, tmp_path: Path) -> None:
    progress = Watched()
    cell, _ = cell_of(source=source)
    train(cell, source, tmp_path, progress=progress)
    assert [status.step for status in progress.statuses] == list(range(7))
    assert [status.validation_ssim is not None for status in progress.statuses] == [False] * 3 + [True] * 4
    assert progress.statuses[-1].done == 1
    assert all(status.loss is not None for status in progress.statuses[1:])


def test_the_experiment_decides_all(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.steps": 3}, source=source)
    _, first = train(cell, source, tmp_path / "a")
    torch.manual_seed(123)
    _, second = train(cell, source, tmp_path / "b")
    assert_same_training(first, second)
    other = dataclasses.replace(cell, experiment=cell.experiment.replace({"training.seed": 1}))
    _, third = train(other, source, tmp_path / "c")
    weight = "model.encoder.0.state_weight"
    weights = [load_file(folder.path / "last.safetensors")[weight] for folder in (first, third)]
    assert not torch.equal(*weights)
