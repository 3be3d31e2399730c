"""Augmentation of training batches: components that change a batch by random numbers of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting
from harness.errors import RequestError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Augmentation(Component):
    """Changes the training batches. A subclass gives `apply`.

    A batch is drawn at the full horizon, augmented, then cut, so that a curriculum sees the same sequences cut short.
    """

    slot: ClassVar[str] = "data.augment"
    inputs_only: ClassVar[bool] = False
    """Whether `apply` is given the input frames alone; what is to be predicted then stays as it is."""

    def apply(self, frames_BTCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Frames of the same shape in [0, 1], on the same device; the argument is left alone.

        Args:
            generator: of the host, seeded by the run's seed, the component's name and the step. Draw from nothing else.
        """
        raise NotImplementedError(f"the augmentation {type(self).__name__} has no apply(frames, generator)")


@dataclass(frozen=True, kw_only=True)
class Flip(Augmentation):
    """Mirrors whole sequences left to right, up to down, or each by itself."""

    name: ClassVar[str] = "flip"
    shorthand: ClassVar[str] = "probability"
    probability: float = setting(0.5, "that a sequence is mirrored along an axis", at_least=0, at_most=1)
    axes: str = setting("both", "which way", choices=("both", "horizontal", "vertical"))

    def apply(self, frames_BTCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Draws two numbers a sequence, whatever the axes."""
        import torch

        chance_2B = torch.rand(2, len(frames_BTCHW), generator=generator)
        for axis, name, chance_B in ((-1, "horizontal", chance_2B[0]), (-2, "vertical", chance_2B[1])):
            if self.axes in ("both", name):
                chosen = (chance_B < self.probability).to(frames_BTCHW.device).view(-1, 1, 1, 1, 1)
                frames_BTCHW = torch.where(chosen, frames_BTCHW.flip(axis), frames_BTCHW)
        return frames_BTCHW


@dataclass(frozen=True, kw_only=True)
class Rotate(Augmentation):
    """Turns whole sequences by 90, 180 or 270 degrees. Frames must be square."""

    name: ClassVar[str] = "rotate"
    shorthand: ClassVar[str] = "probability"
    probability: float = setting(0.75, "that a sequence is turned; 0.75: all four positions alike", at_least=0, at_most=1)

    def apply(self, frames_BTCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Raises RequestError for frames that are not square."""
        import torch

        height, width = frames_BTCHW.shape[-2:]
        if height != width:
            raise RequestError(
                f"data.augment.rotate turns square frames; these are {height}x{width}: leave it out, or use flip"
            )
        chance_B = torch.rand(len(frames_BTCHW), generator=generator)
        turns_B = torch.randint(1, 4, (len(frames_BTCHW),), generator=generator) * (chance_B < self.probability)
        return torch.stack(
            [frames.rot90(turns, (-2, -1)) for frames, turns in zip(frames_BTCHW, turns_B.tolist(), strict=True)]
        )


@dataclass(frozen=True, kw_only=True)
class Noise(Augmentation):
    """Adds Gaussian noise to the input frames, clamped to [0, 1]; the frames to predict stay clean."""

    name: ClassVar[str] = "noise"
    shorthand: ClassVar[str] = "std"
    inputs_only: ClassVar[bool] = True
    std: float = setting(0.05, "standard deviation, in intensities of 0..1", at_least=0, at_most=10)

    def apply(self, frames_BTCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Drawn on the host, so that every device sees the same noise."""
        import torch

        noise_BTCHW = torch.randn(frames_BTCHW.shape, generator=generator).to(frames_BTCHW.device)
        return (frames_BTCHW + self.std * noise_BTCHW).clamp(0, 1)
