"""What holds for every network that feeds its predictions back (`harness.model.cells.FedBack`); a test file subclasses this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from golden_weights import load_golden, relative_difference, set_formula_weights
from torch import Tensor
from torch.nn import functional as F

from harness.errors import RequestError
from harness.model.cells import FedBack

OPENSTL = {"layers": 4, "hidden": 128, "kernel": 5, "patch": 4}
"""OpenSTL's Moving MNIST configuration."""
GOLDEN = {"layers": 3, "hidden": 6, "kernel": 3, "patch": 2}
"""The configuration of the golden files; their frames have two channels, 3 -> 4 frames."""
TINY = {"layers": 2, "hidden": 4, "kernel": 3, "patch": 2}


@dataclass(frozen=True)
class Shown:
    """A feed as a training makes it."""

    frames: Tensor
    use_truth: Tensor


class FedBackContract:
    """Subclass it and set the class variables."""

    make: Callable[..., FedBack]
    translate: Callable[[str], str | None]
    name: str
    parameters: int
    """Of ours at OpenSTL's Moving MNIST configuration."""
    dead: int = 0
    """Parameters that OpenSTL's network has besides and never uses."""
    published: str
    """Parameters as OpenSTL publishes them, in millions."""
    reverse: bool = False
    """Whether OpenSTL's frames shown may be replaced too."""
    extra: dict[str, Any] = {}  # noqa: RUF012

    def build(self, channels: int = 1, **settings: Any) -> FedBack:
        torch.manual_seed(0)
        settings = {"warm_up_weight": 1.0} | self.extra | TINY | settings
        return type(self).make(channels, **settings)

    def golden(self) -> tuple[FedBack, dict[str, Any]]:
        arrays = load_golden(self.name)
        model = self.build(2, **GOLDEN)
        set_formula_weights(model, arrays["names"], type(self).translate, gain=3.0)
        return model.to(arrays["predictions"].dtype), arrays

    def test_has_the_parameters_that_openstl_publishes(self) -> None:
        with torch.device("meta"):
            model = self.build(**OPENSTL)
        count = sum(parameter.numel() for parameter in model.parameters())
        assert count == self.parameters
        truncated = (count + self.dead) // 10**5 / 10  # OpenSTL cuts 15.08M to 15.0M, and rounds others
        assert self.published in (f"{truncated:.1f}M", f"{(count + self.dead) / 1e6:.1f}M")

    def test_predicts_what_openstl_predicts(self) -> None:
        model, arrays = self.golden()
        with torch.no_grad():
            predictions = model.eval()(arrays["frames"][:, :3], 4)
        assert relative_difference(predictions, arrays["predictions"]) < 1e-5

    def test_trains_on_the_loss_of_openstl_with_its_sampling(self) -> None:
        model, arrays = self.golden()
        frames = arrays["frames"]
        step, sequence = torch.arange(6), torch.arange(2)[:, None]
        use_truth = ((step + sequence) % 3 != 1) | (step == 0) | ((step < 3) & (not self.reverse))
        fed = model.train()(frames[:, :3], 4, Shown(frames, use_truth))
        assert relative_difference(fed, arrays["fed"]) < 1e-5
        assert model.auxiliary_loss is not None
        # Theirs is a mean over the 6 predictions of a sequence, ours over the 4 of the horizon.
        loss = (F.mse_loss(fed, frames[:, 3:]) + model.auxiliary_loss) * 4 / 6
        assert loss.item() == pytest.approx(arrays["loss"].item(), rel=1e-5)

    def test_predicts_any_horizon_from_any_number_of_frames(self) -> None:
        model = self.build(3).eval()
        for shown, horizon in ((1, 1), (1, 3), (3, 1), (2, 5)):
            assert model(torch.rand(2, shown, 3, 8, 4), horizon).shape == (2, horizon, 3, 8, 4)
        frames = torch.rand(2, 3, 3, 8, 8)
        torch.testing.assert_close(model(frames, 5)[:, :2], model(frames, 2))

    def test_a_longer_input_goes_on_where_a_shorter_one_ended(self) -> None:
        """Shown its own prediction as a frame, a network goes on as if it had fed it back."""
        model, frames = self.build().eval(), torch.rand(2, 3, 1, 8, 8)
        whole = model(frames, 3)
        torch.testing.assert_close(model(torch.cat([frames, whole[:, :1]], dim=1), 2), whole[:, 1:])

    def test_runs_on_the_meta_device(self) -> None:
        with torch.device("meta"):
            model = self.build()
            assert model(torch.empty(2, 3, 1, 8, 8), 4).shape == (2, 4, 1, 8, 8)

    def test_every_parameter_learns(self) -> None:
        model = self.build()
        frames = torch.rand(2, 3, 1, 8, 8)
        predictions = model.train()(frames, 3)
        assert model.auxiliary_loss is not None
        ((predictions - 0.5).square().mean() + model.auxiliary_loss).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name

    def test_sequences_of_a_batch_do_not_mix(self) -> None:
        model, frames = self.build().eval(), torch.rand(3, 3, 1, 8, 8)
        together = model(frames, 2)
        torch.testing.assert_close(together, torch.cat([model(one[None], 2) for one in frames]))

    def test_without_a_feed_reads_the_frames_shown_then_its_own(self) -> None:
        model, frames = self.build().eval(), torch.rand(2, 6, 1, 8, 8)
        use_truth = (torch.arange(5) < 3).expand(2, -1)
        torch.testing.assert_close(model(frames[:, :3], 3, Shown(frames, use_truth)), model(frames[:, :3], 3))

    def test_a_feed_decides_for_each_sequence_and_step(self) -> None:
        model, frames = self.build().eval(), torch.rand(2, 6, 1, 8, 8)
        plain = model(frames[:, :3], 3)
        use_truth = torch.tensor([[False, True, True, True, False], [True, True, True, False, False]])
        fed = model(frames[:, :3], 3, Shown(frames, use_truth))
        torch.testing.assert_close(fed[:, 0], plain[:, 0])  # step 0 reads the truth whatever the mask says
        torch.testing.assert_close(fed[1], plain[1])
        # The first sequence read the true fourth frame, as if it had been shown.
        torch.testing.assert_close(fed[:1, 1:], model(frames[:1, :4], 2))
        # And frames that are shown can be held back.
        held_back = torch.tensor([[True, True, False, False, False]]).expand(2, -1)
        torch.testing.assert_close(model(frames[:, :3], 3, Shown(frames, held_back)), model(frames[:, :2], 4)[:, 1:])

    def test_the_auxiliary_loss_is_there_in_training_mode_alone(self) -> None:
        model, frames = self.build(), torch.rand(2, 3, 1, 8, 8)
        model.train()(frames, 2)
        assert model.auxiliary_loss is not None
        assert model.auxiliary_loss.shape == ()
        assert model.auxiliary_loss.item() > 0
        model.eval()(frames, 2)
        assert model.auxiliary_loss is None

    def test_the_error_of_the_frames_shown_is_summed_and_divided_by_the_horizon(self) -> None:
        frames = torch.rand(2, 3, 1, 8, 8)
        with_it, without = self.build(warm_up_weight=2.0).train(), self.build(warm_up_weight=0.0).train()
        with_it(frames, 2)
        without(frames, 2)
        assert with_it.auxiliary_loss is not None
        assert without.auxiliary_loss is not None
        eval_model = self.build().eval()
        errors = [F.mse_loss(eval_model(frames[:, :shown], 1)[:, 0], frames[:, shown]) for shown in (1, 2)]
        expected = 2.0 * sum(errors) / 2
        torch.testing.assert_close(with_it.auxiliary_loss - without.auxiliary_loss, expected)

    def test_refuses_what_it_cannot_predict(self) -> None:
        model, frames = self.build(), torch.rand(2, 3, 1, 8, 8)
        with pytest.raises(RequestError, match=r"9x8 pixels; .* multiples of 2"):
            model(torch.rand(2, 3, 1, 9, 8), 2)
        with pytest.raises(RequestError, match="3 channels; this network was built for 1"):
            model(torch.rand(2, 3, 3, 8, 8), 2)
        with pytest.raises(RequestError, match="at least one frame"):
            model(frames, 0)
        with pytest.raises(RequestError, match=r"\(B, T, C, H, W\)"):
            model(frames[0], 2)
        with pytest.raises(RequestError, match=r"feed.frames of shape \(2, 3, 1, 8, 8\)"):
            model(frames, 2, Shown(frames, torch.ones(2, 4, dtype=torch.bool)))
