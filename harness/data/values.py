"""From stored values to the frames that a network sees, and back: missing values, scaling, cropping and padding.

A missing value is NaN in the frames of a source, and so is what padding adds. Losses and metrics leave it out; `Values.filled`
says what the network is shown instead. Letters of the shapes: B sequences, T frames, C channels, H and W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.component import Find, make
from harness.data.frames import OUT_OF_RANGE, FrameFile, check_unit
from harness.data.scaling import Scaling
from harness.data.scan import Scan
from harness.errors import RequestError
from harness.tree import record_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Segment = tuple[int, int, int]
FILLS = ("mean", "low", "last")


@dataclass(frozen=True)
class Values:
    """How stored values become frames.

    `size` is the height and width that are used (the file's after cropping), `padded` what the network gets. `fill` and `means` (of
    the scaled values by channel) say what stands for a missing input.
    """

    size: tuple[int, int]
    padded: tuple[int, int]
    scaling: Scaling | None = None
    missing: float | None = None
    masked: bool = False
    fill: str = "mean"
    means: tuple[float, ...] = ()
    unit: str = ""

    @property
    def plain(self) -> bool:
        """Whether frames are what is stored, bytes divided by 255."""
        return self.scaling is None and not self.masked and self.size == self.padded

    def stored(self, raw_BTCHW: NDArray[Any]) -> NDArray[Any]:
        """Cropped values: bytes as they are, all else float32 with NaN for missing ones."""
        height, width = raw_BTCHW.shape[-2:]
        top, left = (height - self.size[0]) // 2, (width - self.size[1]) // 2
        raw = raw_BTCHW[..., top : top + self.size[0], left : left + self.size[1]]
        if raw.dtype == np.uint8 and self.missing is None:
            return raw
        found: NDArray[Any] = raw.astype(np.float32)
        if self.missing is not None and not math.isnan(self.missing):
            found[raw == self.missing] = np.nan
        return found

    def tensor(self, stored_BTCHW: NDArray[Any], device: torch.device | str) -> Tensor:
        """Frames of what `stored` gave, float32 on a device. Bytes travel as bytes."""
        import torch
        from torch.nn import functional as F

        frames = torch.from_numpy(np.ascontiguousarray(stored_BTCHW)).to(device)
        if self.scaling is not None:
            frames = self.scaling.forward(frames.to(torch.float32))
        elif frames.dtype == torch.uint8:
            frames = frames.to(torch.float32) / 255
        if self.size != self.padded:
            below, right = self.padded[0] - self.size[0], self.padded[1] - self.size[1]
            frames = F.pad(frames, (0, right, 0, below), value=math.nan)
        return frames

    def area(self, frames: Tensor) -> Tensor:
        """Frames (..., H, W) without what padding added."""
        return frames[..., : self.size[0], : self.size[1]]

    def filled(self, frames_BTCHW: Tensor) -> Tensor:
        """The frames with a value for every missing one; padding repeats the border.

        It is the channel's mean in training ("mean"), the lowest ("low"), or the pixel's last known one, else the mean ("last").
        """
        import torch
        from torch.nn import functional as F

        inside = self.area(frames_BTCHW)
        if self.masked:
            value = inside.new_tensor(self.means if self.fill != "low" else [0.0] * inside.shape[2])[:, None, None]
            if self.fill == "last":
                kept = [torch.where(inside[:, 0].isnan(), value, inside[:, 0])]
                for at in range(1, inside.shape[1]):
                    kept.append(torch.where(inside[:, at].isnan(), kept[-1], inside[:, at]))
                inside = torch.stack(kept, 1)
            else:
                inside = torch.where(inside.isnan(), value, inside)
        if self.size == self.padded:
            return inside
        below, right = self.padded[0] - self.size[0], self.padded[1] - self.size[1]
        wider: Tensor = F.pad(inside.flatten(0, 1), (0, right, 0, below), mode="replicate")
        return wider.view(*inside.shape[:3], *self.padded)

    def in_unit(self, frames: Tensor) -> Tensor:
        """Values of the file (..., C, H, W) from frames in [0, 1], padding left out. Of bytes without a scaling: 0..255."""
        inside = self.area(frames)
        return inside if self.scaling is None else self.scaling.inverse(inside)

    def record(self) -> dict[str, Any]:
        """Plain values, from which `from_record` makes it again."""
        return {
            "size": list(self.size),
            "padded": list(self.padded),
            "scaling": record_of(self.scaling),
            "missing": "nan" if self.missing is not None and math.isnan(self.missing) else self.missing,
            "masked": self.masked,
            "fill": self.fill,
            "means": list(self.means),
            "unit": self.unit,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], find: Find) -> Values:
        """The inverse of `record`. Raises RequestError, KeyError, TypeError or ValueError for another record."""
        scaling = make("data.scaling", record["scaling"], Scaling.slot, find)
        if not isinstance(scaling, Scaling | None):
            raise RequestError(f"data.scaling is {scaling}, which is no scaling")
        return cls(
            (int(record["size"][0]), int(record["size"][1])),
            (int(record["padded"][0]), int(record["padded"][1])),
            scaling,
            None if record["missing"] is None else float(record["missing"]),
            bool(record["masked"]),
            str(record["fill"]),
            tuple(map(float, record["means"])),
            str(record["unit"]),
        )


def sizes(height: int, width: int, crop: int, pad: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """What is used of frames of a size, and what the network gets: cropped, then padded, to multiples; 0: as it is."""
    used = (height, width) if crop < 2 else (height // crop * crop, width // crop * crop)
    return used, used if pad < 2 else (-(-used[0] // pad) * pad, -(-used[1] // pad) * pad)


def check_range(file: FrameFile, scaled: bool, masked: bool) -> None:
    """Raises RequestError, naming the recording, for values that cannot be used: infinite, missing without a rule, not in [0, 1]
    without a scaling."""
    scan, pixels = file.scan, file.height * file.width
    whole = file.dtype.kind in "ui" and file.dtype != np.uint8
    for number, (low, high, count) in enumerate(zip(scan.low, scan.high, scan.count, strict=True)):
        lacking = not masked and bool((count < pixels).any())
        known = count > 0
        finite = bool(np.isfinite(low[known]).all() and np.isfinite(high[known]).all())
        outside = (
            not scaled and file.dtype != np.uint8 and bool(known.any()) and (low[known].min() < 0 or high[known].max() > 1)
        )
        if finite and not lacking and not outside:
            continue
        if whole and outside:
            raise RequestError(
                f"{file.path} holds {file.dtype} values, {low[known].min():g} to {high[known].max():g}; {OUT_OF_RANGE}"
            )
        if not finite:
            raise RequestError(f"{file.path}: sequence {number} holds infinite values; {OUT_OF_RANGE}")
        if scaled:
            raise RequestError(
                f"{file.path}: sequence {number} holds nan; --set data.missing=nan masks missing values in losses and metrics"
            )
        for start in range(file.lengths[number]):  # the first bad value, as it is stored
            check_unit(file.path, file.window(number, slice(start, start + 1))[None], [number])


def fit(file: FrameFile, training: Sequence[Segment], scaling: Scaling | None) -> Scaling | None:
    """The scaling fitted to training frames alone. Raises RequestError for a channel without values, or with one value only."""
    for channel, known in enumerate(_over(file.scan, training, "count")):
        if not known:
            raise RequestError(
                f"channel {channel} of the training part of {file.path} has missing values only; leave it out"
            )
    low, high = (_over(file.scan, training, name) for name in ("low", "high"))
    if low == high:
        held = ", ".join(f"{one:g}" for one in low)
        raise RequestError(
            f"the training part of {file.path} is constant ({held}), so there is nothing to learn; give other data"
        )
    if scaling is None:
        return None
    return scaling.fit(low, high, f"the training part of {file.path}")


def means(file: FrameFile, training: Sequence[Segment], fitted: Scaling | None) -> tuple[float, ...]:
    """The mean of the training values by channel, as a network sees it."""
    total, count = _over(file.scan, training, "total"), _over(file.scan, training, "count")
    found = [one / known for one, known in zip(total, count, strict=True)]
    if fitted is None:
        return tuple(one / (255 if file.dtype == np.uint8 else 1) for one in found)
    import torch

    return tuple(fitted.forward(torch.tensor(found)[:, None, None]).flatten().tolist())


def _over(scan: Scan, training: Sequence[Segment], name: str) -> list[float]:
    """A figure of the scan over training frames, by channel."""
    together = np.concatenate([getattr(scan, name)[number][start:stop] for number, start, stop in training])
    reduced = {"low": np.min, "high": np.max}.get(name, np.sum)(together, axis=0)
    return [float(one) for one in reduced]
