"""One loop for all variants: what it promises about budgets, schedules, stopping, resuming and failing."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from trainings import CPU, Data, Noisy, Notes, Watched, assert_same_training, cell_of, poison, train

from harness.bench.estimate import time_steps
from harness.data.source import Source
from harness.errors import HarnessError, Interrupted, RequestError
from harness.evaluation import cost as measure
from harness.evaluation import evaluate as evaluation
from harness.evaluation import views as inference
from harness.experiment import Loss
from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.runs.outcome import Outcome
from harness.store.store import Cell, DamagedRecord, Store, Training
from harness.training import build, checkpoint, loop
from harness.training.progress import Status


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def source() -> Source:
    return cell_of()[1]


@dataclass
class Taken:
    """One step that the optimiser took."""

    rate: float
    beta1: float
    gradient_norm: float
    before: list[Tensor]
    after: list[Tensor]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Taken]:
    found: list[Taken] = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, closure: Any = None) -> Any:
        group = self.param_groups[0]
        weights = group["params"]
        norm = torch.stack([weight.grad.norm() for weight in weights]).norm().item()
        before = [weight.detach().clone() for weight in weights]
        result = step(self, closure)
        found.append(Taken(group["lr"], group["betas"][0], norm, before, [weight.detach().clone() for weight in weights]))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    return found


# --- resuming


class PowerCut(Exception):
    """Nothing of the process is left."""


def cut_at(step: int, source: Source) -> Any:
    def on_batch(now: int, horizon: int, batch: Tensor) -> None:
        if now == step:
            raise PowerCut

    return Data(source, on_batch)


Once = Callable[[Cell], tuple[dict[str, Any], Training]]


@pytest.fixture(scope="module")
def once(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Trains a cell without a disturbance, the first time that it is asked for."""
    kept: dict[str, tuple[dict[str, Any], Training]] = {}

    def answer(cell: Cell) -> tuple[dict[str, Any], Training]:
        if cell.training_key not in kept:
            kept[cell.training_key] = train(cell, source, tmp_path_factory.mktemp("undisturbed"))
        return kept[cell.training_key]

    return answer


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("base", {}),
        ("attention+residual", {"training.validate_every": 4}),
        ("curriculum", {"training.validate_every": 1}),
        ("base", {"training.patience": 1, "training.validate_every": 2, "training.max_lr": 0.3}),
        ("base", {"training.validate_every": 100, "loss.ssim_from": 0.2, "loss.ssim_ramp": 0.4}),
        ("noisy", {}),
    ],
    ids=["base", "validate-every-4", "curriculum", "patience", "never-validated", "dropout"],
)
@pytest.mark.parametrize("way", ["crash", "crash-early", "crash-saved-every-step", "sigterm"])
def test_an_interrupted_training_equals_an_undisturbed_one_bit_for_bit(
    variant: str, changes: dict[str, object], way: str, source: Source, once: Once, tmp_path: Path
) -> None:
    steps = {"training.steps": 9}
    if variant == "noisy":
        cell, _ = cell_of(steps | {"architecture.bottleneck": Noisy()}, source=source)
    else:
        cell, _ = cell_of(steps | changes, variant, source)
    expected, undisturbed = once(cell)
    root = tmp_path / "interrupted"
    if way.startswith("crash"):
        data = cut_at(1 if way == "crash-early" else 5, source)
        with pytest.raises(PowerCut):
            train(cell, data, root, save_every=0 if way == "crash-saved-every-step" else 60)
    else:
        for stop in (2, 4):

            def terminate(status: Status, stop: int = stop) -> None:
                if status.step == stop:
                    os.kill(os.getpid(), signal.SIGTERM)

            torch.randn(3)  # whatever else the process drew must not matter
            with pytest.raises(Interrupted, match=rf"stopped at step {stop + 1} .*same command again"):
                train(cell, source, root, progress=Watched(terminate))
    found, interrupted = train(cell, source, root)

    assert_same_training(interrupted, undisturbed)
    same = ("steps", "skipped_steps", "best_step", "validation_ssim", "stopped_early", "checkpoint_sha256", "sequences")
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}


def test_the_interrupted_patience_case_does_stop_early(source: Source, tmp_path: Path) -> None:
    changes = {"training.steps": 9, "training.patience": 1, "training.validate_every": 2, "training.max_lr": 0.3}
    cell, _ = cell_of(changes, source=source)
    assert train(cell, source, tmp_path)[0]["stopped_early"]


@pytest.mark.parametrize("stopped_by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_loses_no_step(stopped_by: signal.Signals, source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.steps": 50, "training.validate_every": 40}, source=source)
    progress = Watched(lambda status: os.kill(os.getpid(), stopped_by) if status.step == 7 else None)
    with pytest.raises(Interrupted):
        train(cell, source, tmp_path, progress=progress)
    resumed = Watched()
    train(cell, source, tmp_path, progress=resumed)
    assert resumed.statuses[0].step == progress.statuses[-1].step == 8


def test_a_second_signal_stops_at_once_and_handlers_are_put_back(source: Source, tmp_path: Path) -> None:
    def twice(status: Status) -> None:
        if status.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    cell, _ = cell_of(source=source)
    with pytest.raises(KeyboardInterrupt):
        train(cell, source, tmp_path, progress=Watched(twice))
    assert [signal.getsignal(number) for number in watched] == before
    train(cell, source, tmp_path)
    assert [signal.getsignal(number) for number in watched] == before


def test_trains_in_a_thread_too_where_signals_do_not_reach(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of(source=source)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(train(cell, source, tmp_path)[0]))
    thread.start()
    thread.join()
    assert found[0]["steps"] == 6


def test_a_finished_training_is_not_trained_further(source: Source, tmp_path: Path, taken: list[Taken]) -> None:
    cell, _ = cell_of(source=source)
    first, _ = train(cell, source, tmp_path)
    count = len(taken)
    again, _ = train(cell, source, tmp_path)
    assert len(taken) == count == 6
    assert again["checkpoint_sha256"] == first["checkpoint_sha256"]


def test_killed_in_mid_training_and_run_again_ends_as_if_nothing_had_been(tmp_path: Path, quick: None) -> None:
    """`kill -9` leaves no time to save; the same command goes on from the last checkpoint."""
    settings = {"training.steps": 100, "training.validate_every": 10}
    words = [sys.executable, "-c", "from harness.cli.app import main; main()", "run", "--preset", "tiny", "--json"]
    words += ["--variant", "curriculum", "--device", "cpu", "--store", str(tmp_path / "killed")]
    words += [word for path, value in settings.items() for word in ("--set", f"{path}={value}")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    cell, source = cell_of(dict(settings), "curriculum")
    folder = Store(tmp_path / "killed").training(cell)

    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (folder.path / "last.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
    assert not (folder.path / "training.json").exists(), "it had finished before it was killed"

    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["resumed"]
    assert "resuming" in done.stderr
    undisturbed = run_cell(cell, Store(tmp_path / "undisturbed"), source).result
    for key in ("metrics", "metrics_per_frame", "baselines", "run_id"):
        assert record[key] == undisturbed[key]
    other = Store(tmp_path / "undisturbed").training(cell)
    assert_same_training(folder, other)
    digests = [one.read("training.json")["checkpoint_sha256"] for one in (folder, other)]
    assert digests[0] == digests[1]


# --- damaged state


def damage(path: Path, how: str, source: Source, tmp_path: Path) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a checkpoint " * 10)
    elif how == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    elif how == "flipped":
        content = bytearray(path.read_bytes())
        content[-1000] ^= 1  # in the tensors, where nothing but a digest can tell
        path.write_bytes(content)
    elif how == "best-is-flipped":
        path = next(path.parent.glob("best-*.safetensors"))
        content = bytearray(path.read_bytes())
        content[-1000] ^= 1
        path.write_bytes(content)
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "another-seed":
        cell, _ = cell_of({"training.seed": 5}, source=source)
        _, folder = train(cell, source, tmp_path / "other")
        path.write_bytes((folder.path / "last.safetensors").read_bytes())
    else:
        next(path.parent.glob("best-*.safetensors")).unlink()


DAMAGES = ["truncated", "empty", "text", "foreign", "flipped", "another-seed", "best-is-gone", "best-is-flipped", "folder"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_state_is_never_gone_on_from(how: str, source: Source, tmp_path: Path, quick: None) -> None:
    """The trainer names it and leaves it alone; the command puts all of it into quarantine and trains from the beginning."""
    cell, _ = cell_of(source=source)
    with pytest.raises(PowerCut):
        train(cell, cut_at(5, source), tmp_path / "store", save_every=0)
    store = Store(tmp_path / "store")
    folder = store.training(cell)
    damage(folder.path / "last.safetensors", how, source, tmp_path)
    before = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    with pytest.raises(DamagedRecord) as caught:
        train(cell, source, tmp_path / "store")
    assert str(folder.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {name: (folder.path / name).read_bytes() for name in before} == before

    notes: list[str] = []
    outcome = run_cell(cell, store, source, context=Context(note=notes.append))
    assert outcome.result["training"]["steps"] == cell.experiment.training.steps
    assert not outcome.resumed
    (aside,) = (store.root / "quarantine").iterdir()
    assert len(notes) == 1
    assert str(aside) in notes[0]
    kept = aside / folder.path.name
    assert {name: (kept / name).read_bytes() for name in before} == before
    fresh, _ = train(cell, source, tmp_path / "fresh")
    assert folder.read("training.json")["checkpoint_sha256"] == fresh["checkpoint_sha256"]


def test_force_trains_anew_beside_a_damaged_state(source: Source, tmp_path: Path, quick: None) -> None:
    cell, _ = cell_of(source=source)
    store = Store(tmp_path)
    store.training(cell).write_bytes("last.safetensors", b"x")
    assert run_cell(cell, store, source, context=Context(force=True)).result["status"] == "finished"
    assert [path.read_bytes() for path in tmp_path.glob("trainings/*~1/last.safetensors")] == [b"x"]


def test_checkpoints_are_safetensors_and_json(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of(source=source)
    summary, folder = train(cell, source, tmp_path)
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == [summary["checkpoint"], "experiment.json", "last.safetensors", "metrics.jsonl"]
    for path in folder.path.glob("*.safetensors"):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert {value["dtype"] for name, value in header.items() if name != "__metadata__"} == {"F32"}
        assert b"pickle" not in content


def test_a_network_that_does_not_fit_the_checkpoint_is_refused(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of(source=source)
    summary, folder = train(cell, source, tmp_path)
    path = folder.path / summary["checkpoint"]
    other, _ = cell_of(variant="residual", source=source)
    with pytest.raises(DamagedRecord, match="does not hold this experiment's network"):
        checkpoint.load_model(other.experiment, 1, path, CPU)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DamagedRecord, match=path.name):
        checkpoint.load_model(cell.experiment, 1, path, CPU)


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


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_one_cycle_is_stepped_every_batch(
    steps: int, source: Source, tmp_path: Path, taken: list[Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    cell, _ = cell_of({"training.steps": steps, "training.max_lr": 2e-3}, source=source)
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
    seen: list[Loss] = []
    loss = build.composite_loss

    def watched(prediction: Tensor, target: Tensor, weights: Loss) -> Tensor:
        seen.append(weights)
        return loss(prediction, target, weights)

    monkeypatch.setattr(build, "composite_loss", watched)
    cell, _ = cell_of({"training.steps": 10, "loss.ssim_from": 0.2, "loss.ssim_ramp": 0.4}, source=source)
    train(cell, source, tmp_path)
    assert [one.ssim for one in seen] == pytest.approx([0, 0, 0, 0.075, 0.15, 0.225, 0.3, 0.3, 0.3, 0.3])
    assert {one.mse for one in seen} == {0.7}


def test_training_lowers_the_loss(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.steps": 60, "training.max_lr": 1e-2}, source=source)
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
    monkeypatch.setattr(build, "composite_loss", lambda p, t, weights: loss(p, t, weights) + (p * 0).sqrt().sum())
    cell, _ = cell_of(source=source)
    summary, _ = train(cell, source, tmp_path)
    assert summary["skipped_steps"] == summary["steps"] == 6
    assert not taken


def test_too_many_in_a_row_stop_the_run_with_its_state_kept(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.steps": 12, "training.max_skipped": 2, "training.validate_every": 100}, source=source)
    bad = Data(source, poison(0, 1, 3, 4, 5))
    with pytest.raises(HarnessError, match=r"diverged: the last 3 steps up to step 6.*training.max_lr") as caught:
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


def test_early_stopping_stops_and_keeps_the_best(
    source: Source, tmp_path: Path, taken: list[Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    script_validation(monkeypatch, iter([0.1, 0.5, 0.4, 0.5, 0.9]))  # equal is not better
    cell, _ = cell_of({"training.steps": 30, "training.validate_every": 2, "training.patience": 2}, source=source)
    summary, folder = train(cell, source, tmp_path)
    assert (summary["steps"], summary["stopped_early"]) == (8, True)
    assert (summary["best_step"], summary["validation_ssim"]) == (4, 0.5)
    assert [path.name for path in folder.path.glob("best-*")] == [summary["checkpoint"]] == ["best-00000004.safetensors"]
    best = checkpoint.load_model(cell.experiment, 1, folder.path / summary["checkpoint"], CPU)
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


def switches() -> tuple[Any, ...]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.mkldnn.matmul.fp32_precision,
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
    )


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


# --- through run_cell


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_variant_batch_and_what_to_lower(
    error: Exception, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(build, "composite_loss", full)
    cell, _ = cell_of({"training.batch_size": 3}, "attention", source)
    with pytest.raises(
        HarnessError, match=r"'attention'.*training.batch_size=3.*lower training.batch_size.*data.canvas"
    ) as caught:
        run_cell(cell, Store(tmp_path), source)
    assert caught.value.exit_code == 1


class Small:
    """A memory that holds the step of at most `most` sequences: stands in for a full GPU."""

    def __init__(self, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried: list[int] = []
        loss = build.composite_loss

        def limited(prediction: Tensor, target: Tensor, weights: Loss) -> Tensor:
            self.tried.append(len(prediction))
            if len(prediction) > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return loss(prediction, target, weights)

        monkeypatch.setattr(build, "composite_loss", limited)


def test_auto_batch_adds_up_parts_that_fit_and_the_result_stays_the_same_cell(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, _ = cell_of({"training.batch_size": 5}, source=source)
    whole = run_cell(cell, Store(tmp_path / "whole"), source).result
    memory, notes = Small(2, monkeypatch), Notes()
    halved = run_cell(
        cell, Store(tmp_path / "halved"), source, RunOptions(auto_batch=True), Context(progress=lambda title: notes)
    ).result
    assert memory.tried[:6] == [5, 3, 2, 2, 1, 2]  # halved until it fits, then so for good
    assert [note for note in notes.notes if "2 of 5 sequences at once" in note]
    assert (halved["run_id"], halved["training_key"]) == (whole["run_id"], whole["training_key"])
    assert halved["training"]["sequences_at_once"] == 2
    assert whole["training"]["sequences_at_once"] == 5
    assert halved["metrics"]["ssim"] == pytest.approx(whole["metrics"]["ssim"], abs=1e-4)
    first, second = (load_file(next((tmp_path / name).glob("trainings/*/best-*"))) for name in ("whole", "halved"))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=0, atol=1e-4)


def test_auto_batch_gives_up_when_one_sequence_does_not_fit(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Small(0, monkeypatch)
    with pytest.raises(HarnessError, match=r"out of memory.*batch_size=4; lower training\.batch_size"):
        run_cell(cell_of(source=source)[0], Store(tmp_path), source, RunOptions(auto_batch=True))
    assert memory.tried == [4, 2, 1]


@pytest.mark.parametrize("most", [1, 2])
def test_auto_batch_validates_and_tests_fewer_sequences_at_once_with_the_same_numbers(
    most: int, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, _ = cell_of({"training.steps": 4, "training.validate_every": 2}, source=source)
    whole = run_cell(cell, Store(tmp_path / "whole"), source)
    predict = inference.predict

    def limited(model: Any, inputs: Tensor, *args: Any) -> Tensor:
        if len(inputs) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return predict(model, inputs, *args)

    for module in (inference, measure):
        monkeypatch.setattr(module, "predict", limited)
    notes, progress = Notes(), Notes()
    context = Context(progress=lambda title: progress, note=notes.note)
    parts = run_cell(cell, Store(tmp_path / "parts"), source, RunOptions(auto_batch=True), context)
    assert parts.result["metrics"] == pytest.approx(whole.result["metrics"], abs=1e-5)
    found = [json.loads((one.path / "sequences.json").read_bytes())["ssim"] for one in (whole, parts)]
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    assert (whole.result["inference"]["batch_size"], parts.result["inference"]["batch_size"]) == (4, most)
    assert parts.result["training"]["sequences_at_once"] == 4  # a step did fit
    assert [text for text in notes.notes if text.startswith("testing 'base'") and f"{most} of 4 sequences" in text]
    assert [text for text in progress.notes if text.startswith("validation: ") and f"{most} of 4 sequences" in text]


def test_a_state_that_does_not_fit_into_memory_is_not_taken_for_damaged(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(status: Status) -> None:
        if status.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def full(*words: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    cell, store = cell_of(source=source)[0], Store(tmp_path)
    with pytest.raises(Interrupted):
        run_cell(cell, store, source, context=Context(progress=lambda title: Watched(stop)))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "load_file", full)
        with pytest.raises(HarnessError, match="out of memory on cpu while training 'base'"):
            run_cell(cell, store, source)
    assert not (tmp_path / "quarantine").exists()
    assert run_cell(cell, store, source).resumed


def test_another_error_is_not_taken_for_lack_of_memory(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: Any, **options: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(build, "composite_loss", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run_cell(cell_of(source=source)[0], Store(tmp_path), source)


def count_fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    fit = loop.fit

    def counted(*words: Any, **options: Any) -> Any:
        calls.append(words[2].path.name)
        return fit(*words, **options)

    monkeypatch.setattr(loop, "fit", counted)
    return calls


def test_a_cell_that_many_ask_for_at_once_is_trained_once(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    calls = count_fits(monkeypatch)
    cell, _ = cell_of(source=source)
    outcomes: list[Outcome] = []

    def ask() -> None:
        outcomes.append(run_cell(cell, Store(tmp_path), source))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [cell.training_key]
    assert sorted(outcome.cached for outcome in outcomes) == [False, True, True, True]
    assert all(outcome.result == outcomes[0].result for outcome in outcomes)


def test_variants_that_differ_in_inference_alone_share_a_training(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    calls = count_fits(monkeypatch)
    results = [run_cell(cell_of(variant=name, source=source)[0], Store(tmp_path), source).result for name in ("base", "tta")]
    assert len(calls) == 1
    assert results[0]["run_id"] != results[1]["run_id"]
    assert results[0]["metrics"] != results[1]["metrics"]
    assert results[0]["baselines"] == results[1]["baselines"]


def test_a_few_steps_can_be_timed_and_leave_nothing_behind(source: Source, tmp_path: Path) -> None:
    before = switches()
    cell, _ = cell_of({"training.steps": 100}, "curriculum", source)
    step, test, memory = time_steps(cell.experiment, source, "cpu")
    assert min(step, test) > 0
    assert memory > 2**20
    assert switches() == before


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
