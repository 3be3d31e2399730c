"""What holds on a GPU: it computes what the CPU computes, within rounding."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.bench.speed import CONTENDERS, Stepper
from harness.data.prefetch import Prefetcher
from harness.data.source import Source
from harness.errors import Interrupted
from harness.evaluation.predict import predict
from harness.model import fused
from harness.model import pointwise as plain
from harness.model.build import build_model, use_reference
from harness.model.graphs import WARM_UPS, Graphed
from harness.options import RunOptions
from harness.presets import preset
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.runs.job import Job
from harness.runs.request import Request, resolve
from harness.runs.together import Together
from harness.store import Cell, Store
from harness.system.devices import choose_device
from harness.system.precision import exact_float32
from harness.system.progress import Silent, Status
from harness.training import loop
from harness.training.build import build_loss
from harness.training.checkpoint import load_model
from harness.training.step import forward_backward
from harness.variant import Variants

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: torch.cuda.is_available() is false"),
    pytest.mark.filterwarnings("default"),  # of drivers and builds that nobody here has seen: shown, no failure
]

INSTALLED = Variants(third_party=False)
CUDA = torch.device("cuda")


@dataclass
class Notes(Silent):
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


def cell_of(variant: str = "base", **settings: object) -> tuple[Cell, Source]:
    changes = {f"training.{name}": value for name, value in settings.items()}
    return Request(preset="tiny", device="cuda", settings=changes).cell(INSTALLED, variant)


def fit(cell: Cell, source: Source, root: Path, progress: Any = None, **options: Any) -> tuple[dict[str, Any], Path]:
    folder = Store(root).training(cell)
    folder.write("experiment.json", cell.record())
    return loop.fit(cell.experiment, source, folder, CUDA, progress or Silent(), RunOptions(**options)), folder.path


def test_the_device_is_found_and_16_bits_are_chosen() -> None:
    assert choose_device("auto") == "cuda"
    assert resolve(preset("paper"), "cuda").training.precision in ("bfloat16", "float16")


@pytest.mark.parametrize("variant", ["base", "residual+attention"])
def test_the_network_that_trains_equals_the_oracle_on_the_cpu(variant: str) -> None:
    cell, source = cell_of(variant)
    architecture = cell.experiment.architecture
    reference = use_reference(build_model(architecture, source.shape, seed=0))
    with torch.no_grad():
        for index, parameter in enumerate(reference.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)), alpha=0.05)
    fast = build_model(architecture, source.shape, seed=0)
    fast.load_state_dict(reference.state_dict())
    fast = fast.to(CUDA).to(memory_format=torch.channels_last)
    frames = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = reference(frames, 3)
    expected.square().sum().backward()
    with exact_float32(CUDA):
        found = fast(frames.to(CUDA), 3)
        found.square().sum().backward()
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
    for (name, ours), theirs in zip(fast.named_parameters(), reference.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        difference = (ours.grad.cpu() - theirs.grad).norm() / (theirs.grad.norm() + 1e-6)
        assert difference.item() < 1e-3, name


def test_initial_weights_and_batches_are_those_of_the_cpu() -> None:
    cell, source = cell_of()
    architecture = cell.experiment.architecture
    torch.cuda.manual_seed_all(5)
    ours, theirs = (build_model(architecture, source.shape, 3).to(device).cpu().state_dict() for device in (CUDA, "cpu"))
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert torch.equal(source.train_batch(0, 7, 16, 3, CUDA).cpu(), source.train_batch(0, 7, 16, 3, "cpu"))
    for there, here in zip(source.test(3, CUDA), source.test(3, "cpu"), strict=True):
        assert torch.equal(there.cpu(), here)


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("variant", ["base", "residual+attention"])
def test_every_precision_trains(variant: str, precision: str, tmp_path: Path) -> None:
    if precision == "bfloat16" and not torch.cuda.is_bf16_supported():
        pytest.skip("this GPU has no bfloat16")
    cell, source = cell_of(variant, precision=precision, steps=8)
    summary, _ = fit(cell, source, tmp_path)
    assert summary["validation_ssim"] is not None
    assert summary["skipped_steps"] <= (4 if precision == "float16" else 0)  # float16 looks for its loss scale
    assert 0 < summary["memory"]["allocated_bytes"] <= summary["memory"]["reserved_bytes"]


def test_a_stopped_training_goes_on(tmp_path: Path) -> None:
    class Stops(Silent):
        def update(self, status: Status) -> None:
            if status.step == 4:
                os.kill(os.getpid(), signal.SIGTERM)

    cell, source = cell_of("attention", steps=9, precision="float32")
    expected, _ = fit(cell, source, tmp_path / "undisturbed", deterministic=True)
    with pytest.raises(Interrupted, match="stopped at step 5"):
        fit(cell, source, tmp_path / "stopped", Stops(), deterministic=True)
    found, _ = fit(cell, source, tmp_path / "stopped", deterministic=True)
    assert found["steps"] == expected["steps"] == 9
    assert found["validation_ssim"] == pytest.approx(expected["validation_ssim"], abs=1e-6)


def test_a_cell_runs_to_its_result_and_predicts_the_same_from_its_checkpoint(tmp_path: Path) -> None:
    cell, source = cell_of("residual+attention+curriculum+tta")
    store = Store(tmp_path)
    result = run_cell(cell, store, source, context=Context(device="cuda")).result
    assert torch.cuda.get_device_name() in result["device"]
    assert result["inference"]["frames_per_second"] > 0
    training = store.training(cell)
    path = training.path / str(training.read("training.json")["checkpoint"])
    frames = next(iter(source.test(4, "cpu")))[:, :3]
    predictions = [
        predict(load_model(cell.experiment, source.shape, path, device), frames.to(device), 3).cpu()
        for device in (CUDA, torch.device("cpu"))
    ]
    torch.testing.assert_close(*predictions, rtol=0, atol=2e-2)  # TF32 on the GPU


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("variant", ["base", "residual+attention"])
def test_replayed_passes_equal_those_that_are_launched(variant: str, precision: str) -> None:
    cell, source = cell_of(variant)
    shown, horizon, loss = 3, cell.experiment.data.horizon, build_loss(cell.experiment)
    architecture = cell.experiment.architecture
    plain, under = (
        build_model(architecture, source.shape, 0).to(CUDA).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for _ in range(2)
    )
    notes: list[str] = []
    network = Graphed(under, notes.append)
    for step in range(6):
        frames = source.train_batch(0, step, 4, horizon, CUDA)
        for model in (plain, under):
            model.zero_grad(set_to_none=False)
        for part in torch.split(frames, 2):  # two parts, whose gradients add up
            expected, found = (
                forward_backward(
                    one, part, shown=shown, horizon=horizon, progress=1.0, loss=loss, precision=precision, scale=8.0
                )
                for one in (plain, network)
            )
            torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)
        for (name, ours), theirs in zip(under.named_parameters(), plain.parameters(), strict=True):
            assert ours.grad is not None, name
            assert theirs.grad is not None, name
            difference = (ours.grad - theirs.grad).norm() / (theirs.grad.norm() + 1e-6)
            assert difference.item() < (5e-2 if precision == "bfloat16" else 1e-2), name
    assert notes == []
    assert len(network._graphs) == 1


@pytest.mark.parametrize("variant", ["base", "residual+attention+curriculum"])
def test_a_replayed_training_is_one_that_is_launched(variant: str, tmp_path: Path) -> None:
    cell, source = cell_of(variant, steps=16, precision="float32")
    notes = Notes()
    launched, _ = fit(cell, source, tmp_path / "launched", no_graphs=True)
    replayed, _ = fit(cell, source, tmp_path / "replayed", notes)
    assert notes.notes == []
    assert replayed["validation_ssim"] == pytest.approx(launched["validation_ssim"], abs=1e-2)


@pytest.mark.parametrize(
    ("options", "within"),
    [(RunOptions(deterministic=True), 1e-5), (RunOptions(), 1e-2)],  # without graphs, and replayed
    ids=["deterministic", "graphs"],
)
@pytest.mark.parametrize("variant", ["base", "residual+attention"])
def test_cells_of_one_process_end_as_they_do_alone(variant: str, options: RunOptions, within: float, tmp_path: Path) -> None:
    request = Request(preset="tiny", device="cuda", settings={"training.steps": 16, "training.precision": "float32"})
    how: dict[str, Any] = {"request": request, "variant": variant, "options": options, "silent": True}
    jobs = [Job(seed=seed, store=tmp_path / "together", **how) for seed in range(4)]
    done = Together(tuple(jobs)).run()
    assert [(part.error, part.notes) for part in done.parts] == [(None, ())] * 4

    def ssim(job: Job) -> float:
        cell, _ = job.request.cell(INSTALLED, job.variant, job.seed)
        value: float = Store(job.store).training(cell).read("training.json")["validation_ssim"]
        return value

    for job in jobs:
        alone = replace(job, store=tmp_path / "alone")
        assert alone.run().error is None
        assert ssim(job) == pytest.approx(ssim(alone), abs=within)


def test_replayed_predictions_equal_those_that_are_launched() -> None:
    cell, source = cell_of("attention")
    model = build_model(cell.experiment.architecture, source.shape, 0).to(CUDA).eval()
    notes: list[str] = []
    network = Graphed(model, notes.append)
    batches = [source.train_batch(0, step, 4, 3, CUDA)[:, :3] for step in range(5)]
    with torch.autocast("cuda", dtype=torch.float16):
        found = [predict(network, frames, 3, ("identity", "hflip")) for frames in batches]
        expected = [predict(model, frames, 3, ("identity", "hflip")) for frames in batches]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2)
    assert notes == []
    assert len(network._graphs) == 1


def test_a_batch_made_ahead_is_that_of_the_cpu() -> None:
    _, source = cell_of()
    feed = Prefetcher(source.train_batch, CUDA)
    for step in range(4):
        found = feed(0, step, 4, 3, CUDA)
        feed.prepare(0, step + 1, 4, 3, CUDA)
        assert torch.equal(found.cpu(), source.train_batch(0, step, 4, 3, "cpu"))


def test_bench_measures_replayed_steps() -> None:
    cell, source = cell_of()
    frames = source.train_batch(0, 0, 4, 3, CUDA)
    stepper = Stepper(CONTENDERS[0], cell.experiment, source.shape, CUDA)
    for _ in range(WARM_UPS + 1):
        stepper.step(lambda: frames)
        stepper.infer(frames[:, :3])
    assert isinstance(stepper.network, Graphed)
    assert not stepper.network.off
    assert len(stepper.network._graphs) == 2


def pointwise_case(dtype: torch.dtype, layout: torch.memory_format) -> tuple[torch.Tensor, ...]:
    """Sums of the gates, cell state before, both gradients; of 64 channels, on the GPU."""
    generator = torch.Generator().manual_seed(1)
    shapes = ((256, dtype), (64, torch.float32), (64, dtype), (64, torch.float32))
    return tuple(
        torch.randn((4, count, 32, 32), generator=generator).to(CUDA, kind).contiguous(memory_format=layout)
        for count, kind in shapes
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", list(fused.TOLERANCE), ids=str)
def test_the_fused_kernels_do_what_the_plain_code_does(dtype: torch.dtype, layout: torch.memory_format) -> None:
    sums, before, hidden_grad, cell_grad = pointwise_case(dtype, layout)
    assert fused.takes(sums)
    for first in (True, False):
        state = None if first else before
        made, expected = sums.clone(), sums.clone()
        hidden, expected_hidden = torch.empty_like(hidden_grad), torch.empty_like(hidden_grad)
        cell, expected_cell = fused.lstm_update(made, state, hidden), plain.lstm_update(expected, state, expected_hidden)
        fused.compare([made, hidden, cell], [expected, expected_hidden, expected_cell], dtype)
        fused.compare([fused.lstm_cell(expected, state)], [expected_cell], dtype)
        made.copy_(expected)
        given = state, expected_cell, hidden_grad, cell_grad
        grad, expected_grad = fused.lstm_update_backward(made, *given), plain.lstm_update_backward(expected, *given)
        fused.compare([made, grad], [expected, expected_grad], dtype)


@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_network_uses_the_fused_kernels(precision: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def fallback(*_: Any) -> None:
        raise AssertionError("the plain code was used")

    cell, source = cell_of()
    model = build_model(cell.experiment.architecture, source.shape, seed=0).to(CUDA).to(memory_format=torch.channels_last)
    assert fused.ready(CUDA, precision)  # the trial itself uses the plain code
    for name in ("lstm_update", "lstm_cell", "lstm_update_backward"):
        monkeypatch.setattr(plain, name, fallback)
    with torch.autocast("cuda", dtype=precision, enabled=precision != torch.float32):
        prediction = model(torch.rand(2, 3, 1, 16, 16, device=CUDA), 3)
    prediction.float().square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_graph_captures_the_fused_kernels() -> None:
    assert fused.ready(CUDA, torch.bfloat16)
    sums, before, hidden_grad, cell_grad = pointwise_case(torch.bfloat16, torch.channels_last)
    gates, hidden = sums.clone(), torch.empty_like(hidden_grad)

    def step() -> list[torch.Tensor]:
        gates.copy_(sums)
        cell = fused.lstm_update(gates, before, hidden)
        return [cell, fused.lstm_update_backward(gates, before, cell, hidden_grad, cell_grad), gates, hidden]

    step()  # compiles
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    sums.neg_()
    graph.replay()
    found = [one.clone() for one in found]
    assert all(map(torch.equal, found, step()))


def test_within_a_capture_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_sound", {})
    here = torch.zeros((), device=CUDA)
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        here.add_(1)
        answer = fused.ready(CUDA, torch.float32)
    assert not answer
    assert fused.ready(CUDA, torch.float32)
