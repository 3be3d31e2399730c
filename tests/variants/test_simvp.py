"""SimVP is OpenSTL's, with both translators, and keeps a network's contract."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden_weights import load_golden, relative_difference, set_formula_weights
from torch import Tensor

from harness.errors import RequestError
from harness.model.simvp import SimVP
from variants.simvp.module import build_simvp, translate

SMALL: dict[str, Any] = {"hidden": 8, "translator_width": 16, "stages": 4, "blocks": 3}
TINY: dict[str, dict[str, Any]] = {
    "gsta": {"hidden": 4, "translator_width": 16, "blocks": 2, "expansion": 2},
    "incepu": {"hidden": 4, "translator_width": 16, "blocks": 2, "kernels": (3, 5), "groups": 4},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def frames(batch: int = 2, count: int = 3, channels: int = 1, size: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(batch, count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def tiny(translator: str) -> SimVP:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return build_simvp(1, 16, 16, 3, translator=translator, **TINY[translator])


@pytest.mark.parametrize(("translator", "count", "published"), [("gsta", 46_769_665, 46.8), ("incepu", 57_946_113, 58.0)])
def test_has_the_parameters_of_openstl(translator: str, count: int, published: float) -> None:
    with torch.device("meta"):
        model = build_simvp(1, 64, 64, 10, translator=translator)
        predicted = model(torch.empty(1, 10, 1, 64, 64), 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert count / 1e6 == pytest.approx(published, abs=0.06)
    assert predicted.shape == (1, 10, 1, 64, 64)


@pytest.mark.parametrize("translator", ["gsta", "incepu"])
def test_predicts_what_openstl_predicts_beyond_its_horizon_too(translator: str) -> None:
    golden = load_golden("simvp" if translator == "gsta" else "simvp_incepu")
    given, expected = golden["frames"][:, :3], golden["predictions"]
    model = build_simvp(2, 16, 12, 3, translator=translator, **SMALL).eval()
    set_formula_weights(model, golden["names"], translate)
    for horizon in (1, 3, expected.shape[1]):
        assert relative_difference(model(given, horizon), expected[:, :horizon]) < 1e-5


@pytest.mark.parametrize("translator", ["gsta", "incepu"])
@pytest.mark.parametrize("horizon", [1, 3, 7])
def test_predicts_any_horizon(translator: str, horizon: int) -> None:
    assert tiny(translator)(frames(), horizon).shape == (2, horizon, 1, 16, 16)


@pytest.mark.parametrize("translator", ["gsta", "incepu"])
def test_every_parameter_gets_a_gradient(translator: str) -> None:
    model = tiny(translator)
    model(frames(), 3).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("translator", ["gsta", "incepu"])
def test_sequences_of_a_batch_do_not_mix_in_evaluation_mode(translator: str) -> None:
    model, given = tiny(translator).eval(), frames(3)
    with torch.no_grad():
        torch.testing.assert_close(model(given, 4)[1:2], model(given[1:2], 4))


def test_draws_nothing_at_random() -> None:
    model, given = tiny("gsta"), frames()
    before = torch.random.get_rng_state()
    first = model(given, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, model(given, 3))


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((1, 18, 16, 3), {}, "18x16 pixels; this network needs multiples of 4"),
        ((1, 2, 2, 3), {}, "2x2 pixels"),
        ((1, 16, 16, 3), {"hidden": 5}, "architecture.hidden is 5; it must be even"),
        ((1, 16, 16, 3), {"stages": 3}, "architecture.stages is 3; it must be even"),
        ((1, 16, 16, 3), {"kernel": 2}, "architecture.kernel is 2; it must be odd"),
        ((1, 16, 16, 3), {"translator": "incepu", "kernels": (3, 4)}, "all odd"),
        ((1, 16, 16, 3), {"translator": "incepu", "hidden": 4, "translator_width": 16}, "architecture.groups is 8"),
    ],
)
def test_says_what_does_not_fit(shape: tuple[int, int, int, int], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_simvp(*shape, **settings)


@pytest.mark.parametrize(
    ("given", "horizon", "message"),
    [
        (frames(count=4), 3, r"built for \(B, 3, 1, H, W\)"),
        (frames(channels=2), 3, r"built for \(B, 3, 1, H, W\)"),
        (frames(), 0, "horizon 0"),
        (frames(size=18), 3, "multiples of 4"),
    ],
)
def test_says_which_frames_it_cannot_take(given: Tensor, horizon: int, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tiny("gsta")(given, horizon)


def test_knows_no_weight_of_another_network() -> None:
    assert translate("cell_list.0.conv_x.0.weight") is None
