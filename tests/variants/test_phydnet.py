"""PhyDNet is OpenSTL's, with its loss, and keeps a recurrent network's contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from golden_weights import load_golden, relative_difference, set_formula_weights
from torch import Tensor
from torch.nn import functional as F

from harness.errors import RequestError
from variants.phydnet.module import PhyCell, PhyDNet, build_phydnet, translate


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Feed:
    frames: Tensor
    use_truth: Tensor


def frames(batch: int = 2, count: int = 3, channels: int = 1, size: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(batch, count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def tiny(**settings: Any) -> PhyDNet:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        sizes: dict[str, Any] = {"features": 8, "groups": 2, "lstm_widths": (8,), "physical_kernel": 3}
        return build_phydnet(1, 16, 16, **(sizes | settings))


def test_has_the_parameters_of_openstl() -> None:
    with torch.device("meta"):
        model = build_phydnet(1, 64, 64)
        predicted = model(torch.empty(1, 2, 1, 64, 64), 2)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == 3_091_732
    assert count / 1e6 == pytest.approx(3.1, abs=0.05)
    assert predicted.shape == (1, 2, 1, 64, 64)


def test_predicts_what_openstl_predicts_and_has_its_loss() -> None:
    golden = load_golden("phydnet")
    sequence = golden["frames"]
    given, target, horizon = sequence[:, :3], sequence[:, 3:], sequence.shape[1] - 3
    model = build_phydnet(2, 16, 12)
    set_formula_weights(model, golden["names"], translate, gain=0.3)
    assert relative_difference(model.eval()(given, horizon), golden["predictions"]) < 1e-4
    model.train()
    truth = Feed(sequence, torch.ones(len(given), sequence.shape[1] - 1, dtype=torch.bool))
    for name, feed in (("loss", None), ("loss_forced", truth)):
        predicted = model(given, horizon, feed)
        assert model.auxiliary_loss is not None
        loss = (F.mse_loss(predicted, target) + model.auxiliary_loss) * horizon
        assert relative_difference(loss, golden[name]) < 1e-5


@pytest.mark.parametrize("patch", [2, 4])
@pytest.mark.parametrize(("count", "horizon"), [(1, 1), (1, 4), (3, 1), (5, 2)])
def test_takes_any_number_of_frames_and_predicts_any_horizon(count: int, horizon: int, patch: int) -> None:
    predicted = tiny(patch=patch)(frames(count=count), horizon)
    assert predicted.shape == (2, horizon, 1, 16, 16)
    assert predicted.min() > 0
    assert predicted.max() < 1


def test_every_parameter_gets_a_gradient() -> None:
    model = tiny(moment_weight=0.0, warm_up_weight=0.0)
    model(frames(), 3).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_sequences_of_a_batch_do_not_mix() -> None:
    model, given = tiny(), frames(3)
    with torch.no_grad():
        torch.testing.assert_close(model(given, 4)[1:2], model(given[1:2], 4))


def test_what_it_reads_is_chosen_by_the_feed() -> None:
    model, sequence = tiny(), frames(2, 6)
    given, own = sequence[:, :3], torch.tensor([True, True, True, False, False])
    plain = model(given, 3)
    torch.testing.assert_close(model(given, 3, Feed(sequence, own.expand(2, 5))), plain)
    forced = model(given, 3, Feed(sequence, torch.ones(2, 5, dtype=torch.bool)))
    torch.testing.assert_close(forced[:, 2:], model(sequence[:, :5], 1))
    torch.testing.assert_close(forced[:, :1], plain[:, :1])
    # Each sequence by itself, and the first frame is read in any case.
    mixed = torch.stack([own, torch.zeros(5, dtype=torch.bool)])
    found = model(given, 3, Feed(sequence, mixed))
    torch.testing.assert_close(found[:1], plain[:1])
    torch.testing.assert_close(found[1:], model(given[1:, :1], 5)[:, 2:])


def test_the_auxiliary_loss_is_there_in_training_alone() -> None:
    model = tiny()
    model(frames(), 2)
    assert model.auxiliary_loss is not None
    assert model.auxiliary_loss.requires_grad
    model.eval()(frames(), 2)
    assert model.auxiliary_loss is None


def test_the_auxiliary_loss_is_what_its_weights_say() -> None:
    given, found = frames(), {}
    for name, moment, warm_up in (("none", 0.0, 0.0), ("moment", 1.0, 0.0), ("warm_up", 0.0, 1.0), ("both", 3.0, 2.0)):
        model = tiny(moment_weight=moment, warm_up_weight=warm_up)
        model(given, 2)
        assert model.auxiliary_loss is not None
        found[name] = model.auxiliary_loss.item()
    assert found["none"] == 0
    assert found["moment"] == pytest.approx(tiny().physical.moment_loss().item() / 2)
    read = [F.mse_loss(tiny().eval()(given[:, : step + 1], 1)[:, 0], given[:, step + 1]).item() for step in range(2)]
    assert found["warm_up"] == pytest.approx(sum(read) / 2, rel=1e-5)
    assert found["both"] == pytest.approx(3 * found["moment"] + 2 * found["warm_up"], rel=1e-5)


def test_filters_that_keep_the_moment_constraint_are_derivatives() -> None:
    cell = PhyCell(4, 5)
    inverse = torch.linalg.inv(cell.powers)
    with torch.no_grad():
        cell.derivatives.weight.copy_((inverse @ cell.targets @ inverse.T)[:, None].expand(-1, 4, -1, -1))
        assert cell.moment_loss().item() == pytest.approx(0, abs=1e-6)
        y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
        surface = y**2 * x + 3 * x
        [found] = F.conv2d(surface[None, None], cell.derivatives.weight[:, :1])
    y, x = y[2:-2, 2:-2], x[2:-2, 2:-2]
    for order, expected in ((0, y**2 * x + 3 * x), (1, y**2 + 3), (5, 2 * y * x), (6, 2 * y), (10, 2 * x), (11, 2 + 0 * x)):
        torch.testing.assert_close(found[order], expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        ((18, 16), {}, "18x16 pixels; this network needs multiples of 4"),
        ((2, 2), {}, "2x2 pixels"),
        ((16, 16), {"patch": 3}, "architecture.patch is 3; it must be 2 or 4"),
        ((16, 16), {"features": 48}, "architecture.features is 48; it must be a multiple of 32"),
        ((16, 16), {"physical_kernel": 4}, "architecture.physical_kernel is 4; it must be odd"),
    ],
)
def test_says_what_does_not_fit(size: tuple[int, int], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_phydnet(1, *size, **settings)


@pytest.mark.parametrize(
    ("given", "horizon", "message"),
    [
        (frames(channels=2), 2, r"takes \(B, T, 1, H, W\)"),
        (frames(), 0, "horizon 0"),
        (frames(size=18), 2, "multiples of 4"),
    ],
)
def test_says_which_frames_it_cannot_take(given: Tensor, horizon: int, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tiny()(given, horizon)
