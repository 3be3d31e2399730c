"""One component for each of the other slots, in the fewest lines. Docstrings and `setting` are the help text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting
from harness.data.augment import Augmentation
from harness.data.moving_mnist import MovingMnist
from harness.data.scaling import Scaling
from harness.evaluation.metrics import FrameMean
from harness.evaluation.predictors import Untrained
from harness.training.averages import ExponentialAverage
from harness.training.feeding import Feeding
from harness.training.schedules import WarmedUp
from harness.training.start import FileStart
from harness.training.terms import LossTerm
from harness.views import View

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from harness.component import Shape
    from harness.evaluation.predict import Predictor


@dataclass(frozen=True, kw_only=True)
class ThreeDigits(MovingMnist):
    """Moving MNIST with three digits; a source of one's own gives `open(digits_folder) -> harness.data.Source`."""

    name: ClassVar[str] = "three-digits"
    digits: int = setting(3, "digits in a sequence", at_least=1)


@dataclass(frozen=True, kw_only=True)
class Root(Scaling):
    """The square root of what is above the lowest value."""

    name: ClassVar[str] = "root"

    def forward(self, values: Tensor) -> Tensor:
        """Values below `low` become 0."""
        low, high = self.limits(values)
        return ((values - low).clamp_min(0) / (high - low)).sqrt()

    def inverse(self, scaled: Tensor) -> Tensor:
        """low + y^2 (high - low)."""
        low, high = self.limits(scaled)
        return low + scaled.square() * (high - low)


@dataclass(frozen=True, kw_only=True)
class Contrast(Augmentation):
    """Darkens whole sequences by a random factor."""

    name: ClassVar[str] = "contrast"
    lowest: float = setting(0.5, "the smallest factor", at_least=0, at_most=1)

    def apply(self, frames_BTCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Draws one number a sequence from the generator."""
        import torch

        drawn = torch.rand(len(frames_BTCHW), 1, 1, 1, 1, generator=generator).to(frames_BTCHW.device)
        return frames_BTCHW * (self.lowest + (1 - self.lowest) * drawn)


@dataclass(frozen=True, kw_only=True)
class Scaled(Component):
    """A skip path that is a 1x1 convolution."""

    slot: ClassVar[str] = "architecture.skip"
    name: ClassVar[str] = "scaled"

    def build(self, in_channels: int, out_channels: int) -> nn.Module:
        """(N, in, H, W) -> (N, out, H, W)."""
        from torch import nn

        return nn.Conv2d(in_channels, out_channels, 1)


@dataclass(frozen=True, kw_only=True)
class ForgetMore(Component):
    """A ConvLSTM layer whose forget gates start open; a cell of one's own is called as `harness.model.cell.ConvLSTM` is."""

    slot: ClassVar[str] = "architecture.cell"
    name: ClassVar[str] = "forget-more"

    def build(self, in_channels: int, out_channels: int, kernel: int, constant_channels: int = 0) -> nn.Module:
        """(T, B, C, H, W) or None, state -> outputs, state."""
        from harness.model.cell import ConvLSTM

        return ConvLSTM(in_channels, out_channels, kernel, constant_channels=constant_channels, forget_bias=2.0)


@dataclass(frozen=True, kw_only=True)
class MeanFrameHead(Component):
    """The mean of the input frames plus a 1x1 convolution of the features."""

    slot: ClassVar[str] = "architecture.head"
    name: ClassVar[str] = "mean-frame"

    def build(self, in_channels: int, out_channels: int) -> nn.Module:
        """(features (T, B, in, h, w), inputs (S, B, out, h, w)) -> (T, B, out, h, w)."""
        from harness.model.heads import Direct

        class Head(Direct):
            def forward(self, features: Tensor, inputs: Tensor) -> Tensor:
                return inputs.mean(0) + super().forward(features, inputs)

        return Head(in_channels, out_channels)


@dataclass(frozen=True, kw_only=True)
class Charbonnier(LossTerm):
    """A smooth absolute error (Charbonnier et al. 1994)."""

    name: ClassVar[str] = "charbonnier"
    eps: float = setting(1e-3, "where it turns from a square to a line", above=0)

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """A scalar."""
        return ((prediction_BTCHW - target_BTCHW).square() + self.eps**2).sqrt().mean()


@dataclass(frozen=True, kw_only=True)
class RMSProp(Component):
    """torch's RMSprop; whatever is in its `state` is part of checkpoints."""

    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "rmsprop"
    lr: float = setting(1e-3, "peak learning rate", above=0)

    def build(self, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        import torch

        return torch.optim.RMSprop([parameter for _, parameter in named_parameters], lr=self.lr)


@dataclass(frozen=True, kw_only=True)
class SquareRoot(WarmedUp):
    """Falls with the square root of what is left, after a linear warm-up."""

    name: ClassVar[str] = "square-root"

    def factor(self, share: float) -> float:
        """1 at first, 0 at the end."""
        return float((1 - share) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class SlowAverage(ExponentialAverage):
    """An exponential moving average that forgets slowly; one of one's own has `update`, `applied` and state dicts."""

    name: ClassVar[str] = "slow"
    decay: float = setting(0.999, "weight of what was there before", at_least=0, at_most=0.99999)


@dataclass(frozen=True, kw_only=True)
class HalfThenAll(Component):
    """Half the horizon in the first half of the budget."""

    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "half-then-all"

    def horizon(self, progress: float, full: int) -> int:
        """Frames to predict, 1..full."""
        return full if progress >= 0.5 else -(-full // 2)


@dataclass(frozen=True, kw_only=True)
class AlwaysTruth(Feeding):
    """Teacher forcing: a network that feeds back reads true frames alone while it trains."""

    name: ClassVar[str] = "always-truth"

    def probabilities(self, progress: float) -> tuple[float, float]:
        """Of the truth at the input frames, and at the frames to predict."""
        return 1.0, 1.0


@dataclass(frozen=True, kw_only=True)
class ScaledStart(FileStart):
    """Weights of a file, all multiplied by one factor."""

    name: ClassVar[str] = "scaled-file"
    factor: float = setting(0.5, "factor on the weights", above=0)

    def load(self, model: nn.Module, architecture: Component) -> str:
        """One line about what matched."""
        import torch

        said = super().load(model, architecture)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(self.factor)
        return said


@dataclass(frozen=True, kw_only=True)
class WorstPixel(FrameMean):
    """The largest absolute error of a frame; a ratio of sums gives `counts` and `finish` instead, as `csi` does."""

    name: ClassVar[str] = "worst-pixel"
    title: ClassVar[str] = "worst pixel"
    higher_is_better: ClassVar[bool] = False
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = 1.0
    convention = "largest absolute error of a frame's pixels and channels, the mean over frames"

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """(N,)."""
        return (prediction_NCHW - target_NCHW).abs().flatten(1).amax(1)


@dataclass(frozen=True, kw_only=True)
class Shift(View):
    """The frames moved sideways, around the edge; averaged predictions depend less on where a patch ends."""

    name: ClassVar[str] = "shift"
    pixels: int = setting(1, "how far to the right", at_least=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Moved."""
        return frames.roll(self.pixels, -1)

    def inverse(self, frames: Tensor) -> Tensor:
        """Moved back."""
        return frames.roll(-self.pixels, -1)


@dataclass(frozen=True, kw_only=True)
class MeanOfInputs(Untrained):
    """The mean of the input frames, again and again."""

    name: ClassVar[str] = "mean-of-inputs"

    def build(self, shape: Shape) -> Predictor:
        """(inputs (B, T, C, H, W), horizon) -> (B, horizon, C, H, W)."""
        return lambda inputs, horizon: inputs.mean(1, keepdim=True).repeat(1, horizon, 1, 1, 1)
