"""The fast path of the network is its plain reading."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from networks import PAPER, SMALL, TINY, disturbed, experiment, frames, noise
from torch import Tensor

from harness.evaluation.cost import forward_cost
from harness.model.build import build_model, use_reference
from harness.model.cell import ConvLSTM
from harness.presets import preset
from harness.training.terms import composite_loss


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("variant", ["base", "residual+attention"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_the_fast_path_equals_the_oracle_in_outputs_and_gradients(variant: str, horizon: int) -> None:
    architecture = dataclasses.replace(experiment(variant).architecture, widths=(4, 8, 8), kernels=(5, 3, 3), patch=1)
    fast, reference = (disturbed(build_model(architecture, dataclasses.replace(TINY, channels=2), seed=1)) for _ in range(2))
    use_reference(reference)
    given = [frames(channels=2).requires_grad_() for _ in range(2)]
    results = [model(shown, horizon) for model, shown in zip((fast, reference), given, strict=True)]
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)
    for result in results:
        (result * noise(*result.shape)).sum().backward()
    torch.testing.assert_close(given[0].grad, given[1].grad, rtol=1e-4, atol=1e-4)
    for (name, ours), theirs in zip(fast.named_parameters(), reference.parameters(), strict=True):
        assert ours.grad is not None, name
        assert theirs.grad is not None, name
        assert relative_difference(ours.grad, theirs.grad) < 1e-4, name


TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 4e-2}
"""Of the fast path against the float32 reference, as a share of its norm; bfloat16 has 8 bits, and errors add up over steps."""


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("variant", ["base", "residual", "attention"])
def test_the_fast_path_equals_the_oracle_in_every_type_and_layout(
    variant: str, kind: torch.dtype, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.model.cell.CHUNK_BYTES", 2**11)  # parts of less than a step
    architecture = dataclasses.replace(experiment(variant).architecture, widths=(4, 8, 8), kernels=(5, 3, 3), patch=1)
    fast, reference = (disturbed(build_model(architecture, dataclasses.replace(TINY, channels=2), seed=1)) for _ in range(2))
    use_reference(reference)
    fast = fast.to(memory_format=layout)  # type: ignore[call-overload]
    given = [frames(channels=2).requires_grad_() for _ in range(2)]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
        found = fast(given[0], 3).float()
    expected = reference(given[1], 3)
    assert relative_difference(found.detach(), expected.detach()) < TOLERANCE[kind]
    for result in (found, expected):
        (result * noise(*result.shape)).sum().backward()
    assert given[0].grad is not None
    assert given[1].grad is not None
    assert relative_difference(given[0].grad, given[1].grad) < 2 * TOLERANCE[kind]
    for (name, ours), theirs in zip(fast.named_parameters(), reference.parameters(), strict=True):
        assert ours.grad is not None, name
        assert theirs.grad is not None, name
        assert ours.grad.dtype == torch.float32
        assert relative_difference(ours.grad, theirs.grad) < 2 * TOLERANCE[kind], name


def test_bfloat16_trains_as_the_oracle_does() -> None:
    tiny = experiment("residual+attention")
    losses = []
    for kind in (torch.bfloat16, torch.float32):
        model = use_reference(build_model(tiny.architecture, TINY, seed=1), kind == torch.float32)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for step in range(8):
            batch = noise(4, 6, 1, 16, 16, seed=step).sigmoid()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
                prediction = model(batch[:, :3], 3)
            loss = composite_loss(prediction, batch[:, 3:], tiny.loss)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert losses[:8] == pytest.approx(losses[8:], rel=2e-3)
    assert losses[7] < 0.98 * losses[0]


def test_a_second_backward_pass_is_refused_and_not_wrong() -> None:
    model = build_model(SMALL, TINY, seed=0)
    loss = model(frames(), 2).square().sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


def test_a_shorter_horizon_costs_in_proportion() -> None:
    paper = preset("paper")
    costs = [forward_cost(paper, PAPER, horizon)[1] for horizon in (1, 2, 5, 10)]
    step = costs[1] - costs[0]
    assert costs[2] - costs[1] == 3 * step
    assert costs[3] - costs[2] == 5 * step
    assert costs[3] / costs[0] > 1.9  # the ten frames shown are the rest of it


def relative_difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / (expected.norm() + 1e-6))


def test_the_fast_path_trains_as_the_oracle_does() -> None:
    tiny = experiment("residual+attention")
    models = [build_model(tiny.architecture, TINY, seed=1) for _ in range(2)]
    use_reference(models[1])
    losses: list[list[float]] = [[], []]
    for model, kept in zip(models, losses, strict=True):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for step in range(5):
            batch = noise(4, 6, 1, 16, 16, seed=step).sigmoid()
            loss = composite_loss(model(batch[:, :3], 3), batch[:, 3:], tiny.loss)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            kept.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][-1] < losses[0][0]
    start = build_model(tiny.architecture, TINY, seed=1)
    for (name, ours), theirs, first in zip(
        models[0].named_parameters(), models[1].parameters(), start.parameters(), strict=True
    ):
        moved = (theirs - first).norm()
        # Adam divides by the gradient's size, so where that is near zero rounding decides the step.
        assert float((ours - theirs).detach().norm() / (moved.detach() + 1e-6)) < 0.02, name


def test_the_oracle_can_be_left_again() -> None:
    model = build_model(SMALL, TINY, seed=0)
    layers = [module for module in model.modules() if isinstance(module, ConvLSTM)]
    assert use_reference(model) is model
    assert all(layer.plain for layer in layers)
    assert not any(layer.plain for layer in use_reference(model, False).modules() if isinstance(layer, ConvLSTM))
