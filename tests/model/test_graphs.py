"""Networks behind graphs: what may be replayed, what is run as it is, and that a training is the same either way.

A stand-in for CUDA's graphs runs on the CPU. It has what makes them dangerous: it replays one shape only, from memory that the
next replay overwrites, answers and gradients alike, and knows nothing of what has changed but the weights.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trainings import Data, Noisy, Notes, Watched, assert_same_training, cell_of, poison, train

from harness.bench.speed import CONTENDERS, Stepper
from harness.data import prefetch as ahead
from harness.data.source import Source
from harness.errors import Interrupted
from harness.evaluation import cost as measure
from harness.evaluation.predict import predict
from harness.model import graphs
from harness.model.build import build_model
from harness.model.graphs import Fixed, Graphed, graphed
from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.store import Store
from harness.training import build
from harness.training.step import GradientAccumulator, forward_backward
from harness.views import HorizontalFlip, Identity, QuarterTurn

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def source() -> Source:
    return cell_of()[1]


class Replayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tape: Tape, *parameters: Tensor) -> Tensor:
        ctx.tape = tape
        with torch.enable_grad():
            tape.live = tape.fixed(tape.static)
        tape.answer.copy_(tape.live.detach())
        return tape.answer.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tape = ctx.tape
        found = torch.autograd.grad(tape.live, tape.parameters, grad, allow_unused=True)
        for buffer, one in zip(tape.gradients, found, strict=True):
            if one is not None:
                buffer.copy_(one)
        return None, *(None if one is None else b.detach() for one, b in zip(found, tape.gradients, strict=True))


class Tape:
    """One capture, as torch.cuda.make_graphed_callables makes it."""

    def __init__(self, fixed: Fixed, frames: Tensor) -> None:
        self.fixed, self.static, self.replays = fixed, frames.clone(), 0
        self.parameters = tuple(fixed.parameters())
        self.gradients = [torch.empty_like(one) for one in self.parameters]
        self.trains = torch.is_grad_enabled()
        with torch.autocast("cpu", enabled=False), torch.no_grad():
            self.answer = fixed(self.static)
        self.live = self.answer

    def __call__(self, frames: Tensor) -> Tensor:
        assert frames.shape == self.static.shape, "a graph is of one shape"
        assert torch.is_grad_enabled() == self.trains
        self.static.copy_(frames)
        self.replays += 1
        with torch.autocast("cpu", enabled=False):
            if self.trains:
                answer: Tensor = Replayed.apply(self, *self.parameters)
                return answer
            return self.answer.copy_(self.fixed(self.static))


@dataclass
class Backend:
    """Stands in for CUDA; `fails` is raised instead of capturing."""

    tapes: list[Tape] = field(default_factory=list)
    fails: Exception | None = None

    def capture(self, fixed: Fixed, frames: Tensor) -> Callable[[Tensor], Tensor]:
        if self.fails is not None:
            raise self.fails
        self.tapes.append(Tape(fixed, frames))
        return self.tapes[-1]

    @property
    def replays(self) -> list[tuple[int, int, int]]:
        """Horizon, sequences and replays of each capture."""
        return [(tape.fixed.horizon, len(tape.static), tape.replays) for tape in self.tapes]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    found = Backend()
    monkeypatch.setattr(graphs, "DEVICES", ("cpu",))
    monkeypatch.setattr(ahead, "DEVICES", ("cpu",))
    monkeypatch.setattr(graphs, "capture", found.capture)
    return found


# --- training


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("base", {}),
        ("residual+attention", {}),
        ("base", {"training.precision": "bfloat16"}),
        ("base", {"loss.ssim_from": 0.2, "loss.ssim_ramp": 0.6}),
        ("base", {"training.clip_norm": 1e-3}),
    ],
    ids=["base", "residual+attention", "bfloat16", "ssim-ramp", "clipped"],
)
def test_a_replayed_training_is_the_same_training(
    variant: str, changes: dict[str, object], source: Source, tmp_path: Path, backend: Backend
) -> None:
    cell, _ = cell_of({"training.steps": 8} | changes, variant, source)
    _, eager = train(cell, source, tmp_path / "eager", no_graphs=True)
    assert not backend.tapes
    _, replayed = train(cell, source, tmp_path / "replayed")
    assert backend.replays == [(3, 4, 6)]  # two steps as they are
    assert_same_training(eager, replayed)


def test_a_curriculum_has_a_graph_for_each_horizon(source: Source, tmp_path: Path, backend: Backend) -> None:
    cell, _ = cell_of({"training.steps": 12}, "curriculum", source)
    _, eager = train(cell, source, tmp_path / "eager", no_graphs=True)
    _, replayed = train(cell, source, tmp_path / "replayed")
    assert backend.replays == [(2, 4, 4), (3, 4, 5)]
    assert_same_training(eager, replayed)


def test_graphs_of_a_horizon_that_is_past_are_given_up(backend: Backend) -> None:
    network = Graphed(Counts())
    frames = torch.ones(1, 2, 1, 2, 2)
    with torch.no_grad():
        for horizon in (1, 1, 1, 2, 2, 1, 1):
            network(frames, horizon)
    assert backend.replays == [(1, 1, 2), (2, 1, 1)]  # and none is captured twice


def test_parts_of_a_batch_add_up(source: Source, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    start = GradientAccumulator.__init__

    def smaller(self: GradientAccumulator, *given: Any) -> None:
        start(self, *given)
        self.at_once = 2

    monkeypatch.setattr(GradientAccumulator, "__init__", smaller)
    cell, _ = cell_of({"training.batch_size": 5}, source=source)
    _, eager = train(cell, source, tmp_path / "eager", no_graphs=True)
    _, replayed = train(cell, source, tmp_path / "replayed")
    assert [(sequences, replays > 5) for _, sequences, replays in backend.replays] == [(2, True), (1, False)]
    assert_same_training(eager, replayed)


def test_parts_that_find_no_gradient_are_not_replayed(backend: Backend) -> None:
    network = Graphed(Counts())
    weight = network.model.get_parameter("weight")
    for step in range(5):
        for part in range(2):
            network(torch.full((1, 2, 1, 2, 2), 1.0 + part), 3).sum().backward()
        assert weight.grad is not None
        assert weight.grad.item() == 3 * 4 * 3
        assert len(backend.tapes) == (step > 0)
        weight.grad = None if step == 2 else weight.grad.zero_()


def test_memory_that_runs_out_takes_the_graphs_along_and_smaller_parts_follow(
    source: Source, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, calls = build.composite_loss, []

    def limited(prediction: Tensor, target: Tensor, *given: Any) -> Tensor:
        calls.append(len(prediction))
        if len(calls) > 4 and len(prediction) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss(prediction, target, *given)

    cell, _ = cell_of({"training.steps": 8}, source=source)
    _, eager = train(cell, source, tmp_path / "eager", no_graphs=True)
    monkeypatch.setattr(build, "composite_loss", limited)
    summary, replayed = train(cell, source, tmp_path / "replayed", auto_batch=True)
    assert summary["sequences_at_once"] == 2
    assert [sequences for _, sequences, _ in backend.replays] == [4, 2]
    for one, other in zip(weights_of(eager), weights_of(replayed), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def weights_of(folder: Any) -> list[Tensor]:
    from safetensors.torch import load_file

    return list(load_file(folder.path / "last.safetensors").values())


@pytest.mark.parametrize("error", [RuntimeError("operation not permitted"), torch.OutOfMemoryError("full"), ValueError("?")])
def test_a_capture_that_fails_is_told_once_and_training_goes_on(
    error: Exception, source: Source, tmp_path: Path, backend: Backend
) -> None:
    backend.fails = error
    cell, _ = cell_of({"training.steps": 8}, "curriculum", source)
    _, eager = train(cell, source, tmp_path / "eager", no_graphs=True)
    notes = Notes()
    _, replayed = train(cell, source, tmp_path / "replayed", progress=notes)
    (told,) = notes.notes
    assert f"CUDA graphs are off: {type(error).__name__}: {error}" in told
    assert_same_training(eager, replayed)


def test_a_network_that_draws_or_counts_is_not_graphed(source: Source, tmp_path: Path, backend: Backend) -> None:
    cell, _ = cell_of({"training.steps": 8, "architecture.bottleneck": Noisy()}, source=source)
    _, eager = train(cell, source, tmp_path / "eager", no_graphs=True)
    notes = Notes()
    _, replayed = train(cell, source, tmp_path / "replayed", progress=notes)
    assert not backend.tapes
    assert ["draws random numbers" in note for note in notes.notes] == [True]
    assert_same_training(eager, replayed)


class Counts(nn.Module):
    """weight * mean of the frames; may leave something behind."""

    def __init__(self, leaves: str = "") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros(()))
        self.leaves, self.calls = leaves, 0

    def forward(self, frames: Tensor, horizon: int) -> Tensor:
        if self.leaves == "number":
            self.calls += 1
        elif self.leaves == "buffer":
            self.seen += 1
        elif self.leaves == "new buffer":
            self.seen = self.seen + 1
        elif self.leaves == "random":
            torch.rand(1)
        return (self.weight * frames.mean(1, keepdim=True)).expand(-1, horizon, -1, -1, -1).clone()


@pytest.mark.parametrize("leaves", ["", "number", "buffer", "new buffer", "random"])
def test_whatever_a_call_leaves_behind_is_seen(leaves: str, backend: Backend) -> None:
    notes: list[str] = []
    network = Graphed(Counts(leaves), notes.append)
    with torch.no_grad():
        for _ in range(4):
            network(torch.ones(1, 2, 1, 2, 2), 3)
    assert len(backend.tapes) == (not leaves)
    assert len(notes) == bool(leaves)


def test_steps_that_are_skipped_leave_no_gradient_behind(source: Source, tmp_path: Path, backend: Backend) -> None:
    cell, _ = cell_of({"training.steps": 9}, source=source)
    summary, eager = train(cell, Data(source, poison(1, 4, 5)), tmp_path / "eager", no_graphs=True)
    assert summary["skipped_steps"] == 3
    _, replayed = train(cell, Data(source, poison(1, 4, 5)), tmp_path / "replayed")
    assert backend.replays == [(3, 4, 7)]
    assert_same_training(eager, replayed)


def test_the_loss_scale_acts_on_what_is_replayed(source: Source, backend: Backend) -> None:
    cell, _ = cell_of(source=source)
    model, loss = build_model(cell.experiment.architecture, source.shape, 0), build.build_loss(cell.experiment)
    network, frames = Graphed(model), source.train_batch(0, 0, 4, 3, CPU)
    norms = []
    for scale in (1.0, 1.0, 1.0, 8.0, 0.5):
        forward_backward(network, frames, shown=3, horizon=3, progress=1.0, loss=loss, precision="float32", scale=scale)
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        norms.append(torch.stack([one.norm() for one in gradients]).norm().item() / scale)
        torch._foreach_zero_(gradients)
    assert backend.replays == [(3, 4, 3)]
    assert norms == pytest.approx([norms[0]] * 5)


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(source: Source, tmp_path: Path, backend: Backend) -> None:
    def stop(status: Any) -> None:
        if status.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    cell, _ = cell_of({"training.steps": 18}, "curriculum", source)
    _, eager = train(cell, source, tmp_path / "eager", no_graphs=True)
    with pytest.raises(Interrupted):
        train(cell, source, tmp_path / "stopped", progress=Watched(stop))
    _, stopped = train(cell, source, tmp_path / "stopped")
    assert [horizon for horizon, _, _ in backend.replays] == [2, 2, 3]
    assert_same_training(eager, stopped)


def test_deterministic_mode_and_the_switch_leave_graphs_alone(
    source: Source, tmp_path: Path, backend: Backend, quick: None
) -> None:
    cell, _ = cell_of(source=source)
    run_cell(cell, Store(tmp_path / "deterministic"), source, RunOptions(deterministic=True))
    run_cell(cell, Store(tmp_path / "switch"), source, RunOptions(no_graphs=True))
    assert not backend.tapes


def test_on_the_cpu_a_network_is_what_it_was() -> None:
    model = Counts()
    assert graphed(model, CPU) is model


# --- inference


def test_a_result_is_the_same_from_replayed_predictions(
    source: Source, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "median_seconds", lambda once, seconds, **counts: [once() for _ in range(3)] and 1.0)
    cell, _ = cell_of(variant="tta", source=source)
    eager = run_cell(cell, Store(tmp_path / "eager"), source, RunOptions(no_graphs=True)).result
    assert not backend.tapes
    replayed = run_cell(cell, Store(tmp_path / "replayed"), source).result
    trained, *inferred = backend.tapes
    assert trained.trains
    assert {len(tape.static) for tape in inferred} >= {1, cell.experiment.training.batch_size}
    assert not any(tape.trains for tape in inferred)
    for name in ("metrics", "metrics_per_frame", "test_digest", "run_id"):
        assert replayed[name] == eager[name]


def test_predictions_are_not_overwritten_by_the_next(backend: Backend) -> None:
    network, model = Graphed(Counts()), Counts()
    inputs = [torch.rand(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(5)]
    for views in ((Identity(),), (Identity(), HorizontalFlip(), QuarterTurn())):
        found = [predict(network, one, 2, views) for one in inputs]
        assert all(torch.equal(one, predict(model, given, 2, views)) for one, given in zip(found, inputs, strict=True))
    assert len(backend.tapes) == 1


def test_only_so_many_graphs_are_held(backend: Backend) -> None:
    network = Graphed(Counts())
    with torch.no_grad():
        for size in range(1, 8):
            for _ in range(2):
                assert network(torch.ones(size, 2, 1, 2, 2), 1).shape == (size, 1, 1, 2, 2)
    assert len(backend.tapes) == 7
    assert len(network._graphs) == graphs.MOST


def test_bench_replays_the_fast_path_and_no_other(source: Source, backend: Backend) -> None:
    experiment = cell_of(source=source)[0].experiment
    frames = source.train_batch(0, 0, 2, 3, CPU)
    for contender in CONTENDERS:
        stepper = Stepper(contender, experiment, source.shape, CPU)
        for _ in range(graphs.WARM_UPS + 1):
            stepper.step(lambda: frames)
            stepper.infer(frames[:, :3])
    fast = sum(contender.name.startswith("fast") for contender in CONTENDERS)
    assert [(tape.trains, tape.replays >= 2) for tape in backend.tapes] == [(False, True), (True, True)] * fast


# --- batches made ahead
