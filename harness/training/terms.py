"""Terms of the training loss as components: each has a weight, and may start later and rise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting
from harness.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LossTerm(Component):
    """A term of the loss: `weight` times what `compute` gives, from the share `start` of the budget, rising over the share `ramp`.

    A term of weight 0 is no term: `--set loss.ssim=0` removes it.
    """

    slot: ClassVar[str] = "loss"
    shorthand: ClassVar[str] = "weight"
    weight: float = setting(1.0, "factor on the term", at_least=0, at_most=1e6)
    start: float = setting(0.0, "share of the budget before which the term is off", at_least=0, at_most=1, neutral=0.0)
    ramp: float = setting(
        0.0, "share of the budget over which it then rises to its weight", at_least=0, at_most=1, neutral=0.0
    )

    def weight_at(self, progress: float) -> float:
        """The weight at progress 0..1 of the budget."""
        if progress >= self.start + self.ramp:
            return self.weight
        return self.weight * (max(0.0, progress - self.start) / self.ramp if self.ramp else 0.0)

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """The term without its weight: a float32 scalar from float32 frames of one shape."""
        raise NotImplementedError(f"the loss term {type(self).__name__} has no compute(prediction, target)")


@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(LossTerm):
    """Mean squared error over all pixels of all frames."""

    name: ClassVar[str] = "mse"

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """A scalar, at least 0."""
        from torch.nn import functional as F

        return F.mse_loss(prediction_BTCHW, target_BTCHW)


@dataclass(frozen=True, kw_only=True)
class StructuralDissimilarity(LossTerm):
    """1 - SSIM (Wang et al. 2004; Gaussian 11, sigma 1.5, range 1, valid positions), mean over all frames."""

    name: ClassVar[str] = "ssim"

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """A scalar, 0 for equal frames."""
        from harness.training.losses import ssim_loss

        return ssim_loss(prediction_BTCHW, target_BTCHW)


@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(LossTerm):
    """Mean absolute error over all pixels of all frames."""

    name: ClassVar[str] = "mae"

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """A scalar, at least 0."""
        from torch.nn import functional as F

        return F.l1_loss(prediction_BTCHW, target_BTCHW)


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(LossTerm):
    """Cross-entropy of intensities as probabilities, mean over all pixels; predictions are clamped to [eps, 1 - eps]."""

    name: ClassVar[str] = "bce"
    eps: float = setting(1e-4, "distance from 0 and 1 that predictions are clamped to", above=0, at_most=0.1)

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """A scalar, at least 0. A clamped prediction has no gradient here, so give it company, such as mse."""
        from torch.nn import functional as F

        return F.binary_cross_entropy(prediction_BTCHW.clamp(self.eps, 1 - self.eps), target_BTCHW)


@dataclass(frozen=True, kw_only=True)
class GradientDifference(LossTerm):
    """Mean absolute difference of the frames' spatial gradients (Mathieu et al. 2016, arXiv:1511.05440, with alpha 1)."""

    name: ClassVar[str] = "gradient-difference"

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """A scalar, at least 0: how far the absolute differences of neighbours are apart, down and across."""
        found = [
            (prediction_BTCHW.diff(dim=axis).abs() - target_BTCHW.diff(dim=axis).abs()).abs().mean() for axis in (-2, -1)
        ]
        return found[0] + found[1]


@dataclass(frozen=True, kw_only=True)
class TemporalDifference(LossTerm):
    """Divergence of the changes between frames (Tan et al. 2023, TAU, arXiv:2206.12126): KL of softmaxes over pixels.

    The mean over pixels, and 0 for two frames or fewer, as in the code that made the published figures.
    """

    name: ClassVar[str] = "temporal-difference"
    temperature: float = setting(0.1, "divides the changes before the softmax", above=0, at_most=100)

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """A scalar, at least 0."""
        from torch.nn import functional as F

        if prediction_BTCHW.shape[1] <= 2:
            return prediction_BTCHW.sum() * 0.0
        ours, theirs = (
            F.log_softmax(frames.diff(dim=1).flatten(2) / self.temperature, -1)
            for frames in (prediction_BTCHW, target_BTCHW)
        )
        return (ours.exp() * (ours - theirs)).mean()


def composite_loss(
    prediction_BTCHW: Tensor, target_BTCHW: Tensor, terms: Iterable[LossTerm], progress: float = 1.0
) -> Tensor:
    """The sum of the terms, each with its weight at progress 0..1 of the budget. A term of weight 0 is not computed.

    The article's section 3 has 0.7 MSE + 0.3 (1 - SSIM).

    Args:
        prediction_BTCHW: (B, T, C, H, W), any floating type, not clamped.
        target_BTCHW: the same shape, in [0, 1].

    Returns:
        A float32 scalar.

    Raises:
        RequestError: the shapes differ, or SSIM has a weight and a frame is smaller than its 11x11 window.
    """
    import torch

    if prediction_BTCHW.shape != target_BTCHW.shape:
        raise RequestError(
            f"a loss compares equal shapes; got {tuple(prediction_BTCHW.shape)} and {tuple(target_BTCHW.shape)}"
        )
    with torch.autocast(prediction_BTCHW.device.type, enabled=False):
        prediction, target = prediction_BTCHW.float(), target_BTCHW.float()
        weighted = [(term.weight_at(progress), term) for term in terms]
        return torch.stack([weight * term.compute(prediction, target) for weight, term in weighted if weight]).sum()
