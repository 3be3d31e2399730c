"""Sequences of files as a source: what trains, validates and tests.

Longer than other files because the setting and the three parts that it makes share how values are read, scaled and masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.component import CONTENT, EVALUATION, Component, setting, slot_field
from harness.data.climatology import Climatology
from harness.data.draws import generator
from harness.data.frames import FrameFile, open_frames
from harness.data.source import Source
from harness.data.values import FILLS, Segment, Values, check_range, fit, means, sizes
from harness.data.windows import Windows, cut, heads, repeated, split
from harness.errors import RequestError
from harness.experiment import MOST
from harness.notation import shown

if TYPE_CHECKING:
    import torch

SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True, kw_only=True)
class Frames(Component):
    """Sequences of your own: a .npy, .npz, HDF5, Zarr or NetCDF file, a video, or a folder of images, videos or such files.

    A file with an axis of sequences is split by sequences, and gives one window of each: in training from any frame, in validation
    and test from the first. A recording is split in time, and cut into windows that cross no border and no gap. An epoch is one
    visit of every training window. Values are uint8, floats in [0, 1], or anything with a `scaling`.
    """

    slot: ClassVar[str] = "data"
    name: ClassVar[str] = "frames"
    path: str = setting("", "training frames: a file or folder", decides=CONTENT)
    evaluation: str = setting("", "test frames: a file or folder; empty: the held-out part of `path`", decides=CONTENT)
    layout: str = setting(
        "auto", 'axes: "T H W C", "NTHW", "time lat lon" or "time=T lat=H lon=W"; auto: where only one reading is possible'
    )
    evaluation_layout: str = setting("", "axes of `evaluation`; empty: as `layout`", neutral="", decides=EVALUATION)
    variable: str = setting("", "the array's name, in a file with several", neutral="", decides=CONTENT)
    input_frames: int = setting(10, "frames shown", at_least=1, at_most=1000, shared=True)
    horizon: int = setting(10, "frames to predict", at_least=1, at_most=1000, shared=True)
    split: tuple[float, ...] = setting(
        SHARES, "shares of training, validation and test, in this order", above=0, at_most=1, neutral=SHARES
    )
    stride: int = setting(
        0,
        "frames between the starts of windows; 0: 1 in training, no overlap in validation and test; of an axis N: one window each",
        at_least=0,
        at_most=MOST,
        neutral=0,
    )
    scaling: Any = slot_field(
        None, "slot: brings values to [0, 1]; its limits are fitted to the training part", neutral=None
    )
    missing: str = setting(
        "", "missing values: nan, or a value such as 65535 beside NaN; empty: none are allowed", neutral=""
    )
    fill: str = setting(
        "mean",
        "what a network is shown for a missing value: the mean, the lowest, or the pixel's last",
        choices=FILLS,
        neutral="mean",
    )
    pad: int = setting(
        0, "pad height and width to a multiple of this; metrics leave it out", at_least=0, at_most=1024, neutral=0
    )
    crop: int = setting(
        0, "crop height and width to a multiple of this, around the centre", at_least=0, at_most=1024, neutral=0
    )
    unit: str = setting("", "unit of the values; empty: as the file says", neutral="", decides=CONTENT)
    flip_horizontal: float = setting(
        0.5, "probability of a left-right flip of a training sequence", at_least=0, at_most=1, shared=True
    )
    flip_vertical: float = setting(
        0.5, "probability of an up-down flip of a training sequence", at_least=0, at_most=1, shared=True
    )
    validation_sequences: int = setting(1_000, "most sequences to validate on", at_least=1, at_most=MOST, shared=True)
    test_sequences: int = setting(
        10_000, "most sequences to test on", at_least=1, at_most=MOST, decides=EVALUATION, shared=True
    )
    augment: tuple[Any, ...] = slot_field((), "slots: changes to the training batches", many=True, neutral=(), shared=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.split) != 3 or abs(sum(self.split) - 1) > 1e-6:
            raise RequestError(f"data.split is {shown(self.split)}; give three shares that add up to 1, such as 0.8,0.1,0.1")
        if self.missing:
            self.missing_value()

    def missing_value(self) -> float | None:
        """The number that `missing` means. Raises RequestError."""
        try:
            return float(self.missing) if self.missing else None
        except ValueError:
            raise RequestError(f"data.missing is {shown(self.missing)}; give nan, or a number such as 65535") from None

    @property
    def total_frames(self) -> int:
        """Frames in one sequence: shown and to be predicted."""
        return self.input_frames + self.horizon

    def open(self, digits_folder: Path | None = None) -> Source:
        """The sequences; `digits_folder` is for generated data and not read. Raises RequestError for an unusable file."""
        del digits_folder
        if not self.path:
            raise RequestError("data.path is empty; name a file or folder: --set data.path=FILE")
        content = _Content(self)
        return Source(self, content.train, content.validation, content.test, content)

    def file(self, path: str, layout: str, fewest: int) -> FrameFile:
        """A file of the data, long enough for it. Raises RequestError."""
        found = open_frames(
            path,
            layout,
            frames=self.total_frames,
            fewest=fewest,
            variable=self.variable,
            missing=self.missing_value(),
        )
        return long_enough(found, self) if found.as_sequences else found


class Lengths(Protocol):
    """What of a data component a file's sequences are checked and cut by."""

    @property
    def input_frames(self) -> int:
        """Frames in one sequence."""
        ...

    @property
    def horizon(self) -> int:
        """Frames to predict."""
        ...

    @property
    def total_frames(self) -> int:
        """Frames in one sequence."""
        ...


def long_enough(file: FrameFile, data: Lengths) -> FrameFile:
    """The file, when its sequences are long enough for `data`. Raises RequestError."""
    if file.frames < data.total_frames:
        raise RequestError(
            f"{file.path} holds sequences of {file.frames} frames; data.input_frames {data.input_frames} + "
            f"data.horizon {data.horizon} need {data.total_frames}: lower them, or give longer sequences"
        )
    return file


class _Content:
    """The parts of a file and what was understood of it."""

    def __init__(self, data: Frames) -> None:
        self.data = data
        total = data.total_frames
        self.file = file = data.file(data.path, data.layout, 3)
        parts = split(file, data.split, total)
        self._training: list[Segment] = parts[0]
        self.windowed = bool(data.stride) or not file.as_sequences
        if self.windowed:
            seen = cut(parts[0], total, data.stride or 1)
            held = [cut(part, total, data.stride or total) for part in parts[1:]]
        else:
            seen = heads(parts[0], file.frames - total)
            held = [heads(part) for part in parts[1:]]
        self.test_file, test = file, held[1]
        if data.evaluation:
            self.test_file, test = self._evaluation()
        self.train = FileTrain(self, seen)
        self.validation = FileHeldOut(self, file, held[0].some(data.validation_sequences, self.windowed))
        self.test = FileHeldOut(self, self.test_file, test.some(data.test_sequences, self.windowed))

    def _evaluation(self) -> tuple[FrameFile, Windows]:
        """The file of the test sequences, and its windows."""
        data, file = self.data, self.file
        other = data.file(data.evaluation, data.evaluation_layout or data.layout, 1)
        if other.shape_CHW != file.shape_CHW:
            raise RequestError(
                f"{other.path} holds frames of (channels, height, width) {other.shape_CHW}, training has {file.shape_CHW}; "
                "give an evaluation file of that shape"
            )
        if not data.stride and other.as_sequences:
            return other, heads((number, 0, length) for number, length in enumerate(other.lengths))
        if other.digest == file.digest:
            raise RequestError(
                f"{other.path} is the recording that is trained on, so test windows would share frames with training; leave "
                "data.evaluation out, and its last part tests (data.split)"
            )
        whole = [(number, 0, length) for number, length in enumerate(other.lengths)]
        found = cut(whole, data.total_frames, data.stride or data.total_frames)
        if not len(found):
            raise RequestError(f"{other.path} has no {data.total_frames} frames in a row, which a test window needs")
        return other, found

    # --- values

    @cached_property
    def bare(self) -> Values:
        """What is known before anything is read."""
        data, file = self.data, self.file
        used, padded = sizes(file.height, file.width, data.crop, data.pad)
        if min(used) < 1:
            raise RequestError(f"data.crop is {data.crop}; frames of {file.height}x{file.width} have nothing left")
        masked = bool(data.missing)
        unit = data.unit or file.stored.unit
        return Values(used, padded, None, data.missing_value(), masked, data.fill, (), unit)

    @cached_property
    def limited(self) -> Values:
        """With the scaling fitted."""
        check_range(self.file, self.data.scaling is not None, bool(self.data.missing))
        if self.test_file is not self.file:
            check_range(self.test_file, self.data.scaling is not None, bool(self.data.missing))
        fitted = fit(self.file, self._training, self.data.scaling)
        return Values(**vars(self.bare) | {"scaling": fitted})

    @cached_property
    def values(self) -> Values:
        """All of it."""
        if self.bare.plain and self.data.scaling is None:
            return self.bare
        limited = self.limited
        found = means(self.file, self._training, limited.scaling) if limited.masked else ()
        return Values(**vars(limited) | {"means": found})

    @cached_property
    def _climatology(self) -> Climatology:
        return Climatology(self.file, self._training, self.values)

    def expected(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        """What the training part alone expects of the frames to be predicted of test sequences start..stop - 1."""
        import torch

        shown, total, windows = self.data.input_frames, self.data.total_frames, self.test.windows
        return torch.stack(
            [
                self._climatology.expected(self.test_file, number, np.arange(first + shown, first + total), device)
                for number, first in zip(
                    windows.recordings[start:stop].tolist(), windows.starts[start:stop].tolist(), strict=True
                )
            ]
        )

    def check_unchanged(self) -> None:
        """Raises HarnessError when a file changed since it was opened."""
        for one in {self.file, self.test_file}:
            one.check_unchanged()

    # --- what was understood

    @cached_property
    def about(self) -> dict[str, Any]:
        """Plain values for records: files, axes, windows, and how values are scaled."""
        file, data, values = self.file, self.data, self.limited
        channels, *_ = file.shape_CHW
        low = min(
            float(one[count > 0].min()) for one, count in zip(file.scan.low, file.scan.count, strict=True) if count.any()
        )
        high = max(
            float(one[count > 0].max()) for one, count in zip(file.scan.high, file.scan.count, strict=True) if count.any()
        )
        known = sum(int(one.sum()) for one in file.scan.count)
        pixels = sum(file.lengths) * channels * file.height * file.width
        return {
            "path": data.path,
            "absolute": str(file.path.absolute()),
            "layout": str(file.layout),
            "dims": list(file.stored.dims),
            "variable": file.stored.variable,
            "recordings": file.sequences,
            "frames": file.frames,
            "shape": list(file.shape_CHW),
            "dtype": str(file.dtype),
            "range": [low, high],
            "missing_share": 1 - known / pixels,
            "windows": self.windowed,
            "train": len(self.train.windows),
            "validation": self.validation.count,
            "test": self.test.count,
            "test_in_training": repeated(self.test.windows, self.test_file, self._training, file, data.total_frames),
            "values": values.record(),
        }

    @property
    def text(self) -> str:
        """The same in a line or two, to be printed once."""
        about, data, values = self.about, self.data, self.limited
        channels = about["shape"][0]
        what = "windows" if about["windows"] else "sequences"
        low, high = about["range"]
        unit = f" {values.unit}" if values.unit else ""
        size = f"{values.size[0]}x{values.size[1]}"
        if values.padded != values.size:
            size += f" padded to {values.padded[0]}x{values.padded[1]}"
        line = (
            f"{data.path}: read as {about['layout']}; train {about['train']:,} {what} of "
            f"{data.input_frames}+{data.horizon} frames, "
            f"{channels} channel{'s' * (channels > 1)}, {size}, {about['dtype']} {low:.5g}..{high:.5g}{unit}"
        )
        if values.scaling is not None:
            limits = ", ".join(f"{a:.5g}..{b:.5g}" for a, b in zip(values.scaling.low, values.scaling.high, strict=True))
            line += f" scaled by {values.scaling.name} of {limits}"
        if about["missing_share"]:
            line += f", {about['missing_share']:.1%} missing (masked; shown as {values.fill})"
        line += f"; validation {about['validation']:,}; test {about['test']:,}"
        if data.evaluation:
            line += f" of {data.evaluation}, read as {self.test_file.layout}"
        if about["test_in_training"]:
            line += (
                f"\nwarning: {about['test_in_training']} of {about['test']} test sequences occur in training, frame by frame"
            )
        return line


class FileTrain:
    """Visits every window once an epoch, in an order and from start frames drawn by (seed, step)."""

    def __init__(self, content: _Content, windows: Windows) -> None:
        self.data, self._content, self.windows = content.data, content, windows
        self._file = content.file
        self.epoch = len(windows)
        self.shape_CHW = (self._file.channels, *content.bare.padded)

    @property
    def identity(self) -> str:
        """What the content is called in keys."""
        assert self._content.limited is not None  # values that cannot be used are found before they have a name
        return f"file:{self._file.digest}"

    @property
    def origin(self) -> dict[str, str]:
        """Where the content comes from: `source` and `digest`."""
        return {"source": "file", "digest": self._file.digest}

    def batch(
        self, rng: np.random.Generator, seed: int, step: int, size: int, frames: int, device: torch.device | str
    ) -> torch.Tensor:
        """A training batch, (size, frames, C, H, W) in [0, 1]."""
        data = self.data
        # The range of starts is that of the full horizon, so that a shorter one sees the same sequences cut short.
        later = rng.integers(0, self.windows.spare + 1, size)
        horizontal = rng.random(size) < data.flip_horizontal
        vertical = rng.random(size) < data.flip_vertical
        indices = _shuffled(seed, step * size, size, self.epoch)
        stored = _read(self._content.values, self._file, self.windows, indices, frames, later)
        return self._content.values.tensor(_flip(_flip(stored, horizontal, -1), vertical, -2), device)


def _read(
    values: Values, file: FrameFile, windows: Windows, indices: list[int], frames: int, later: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Windows of a file, (B, T, C, H, W), as `Values.stored` gives them."""
    starts = windows.starts[indices] + (0 if later is None else later)
    pairs = zip(windows.recordings[indices].tolist(), starts.tolist(), strict=True)
    return values.stored(np.stack([file.window(number, slice(start, start + frames)) for number, start in pairs]))


def _shuffled(seed: int, first: int, size: int, count: int) -> list[int]:
    """Draws first..first + size - 1 of an endless stream that visits 0..count - 1 once an epoch, each epoch in its order."""
    orders = {
        epoch: generator(seed, "order", epoch).permutation(count)
        for epoch in range(first // count, (first + size - 1) // count + 1)
    }
    return [int(orders[draw // count][draw % count]) for draw in range(first, first + size)]


def _flip(stored_BTCHW: NDArray[Any], flip: NDArray[np.bool_], axis: int) -> NDArray[Any]:
    if not flip.any():
        return stored_BTCHW
    return np.where(flip[:, None, None, None, None], np.flip(stored_BTCHW, axis), stored_BTCHW)


class Holder(Protocol):
    """Whose values held-out windows are read by."""

    @property
    def values(self) -> Values:
        """How stored values become frames."""
        ...

    @property
    def data(self) -> Any:
        """The data component."""
        ...


class FileHeldOut:
    """Some windows of a file."""

    def __init__(self, content: Holder, file: FrameFile, windows: Windows) -> None:
        self._content, self._file, self.windows = content, file, windows
        self.count = len(windows)

    @property
    def identity(self) -> str:
        """What the content is called in keys."""
        # Two parts of a file are two data sets.
        first, last = int(self.windows.recordings[0]), int(self.windows.recordings[-1])
        heads_only = not self.windows.starts.any() and last - first == self.count - 1
        return f"file:{self._file.digest}:{f'{first}-{last + 1}' if heads_only else self.windows.digest}"

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Sequences start..stop - 1 as `Values.stored` gives them, (B, T, C, H, W)."""
        return _read(
            self._content.values, self._file, self.windows, list(range(start, stop)), self._content.data.total_frames
        )

    def tensor(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        """The same as float32 frames on a device."""
        return self._content.values.tensor(self.stored(start, stop), device)


@dataclass(frozen=True)
class PlainTest:
    """Test sequences of a file for a generator: uint8, or floats in [0, 1]."""

    data: Any
    file: FrameFile

    @cached_property
    def values(self) -> Values:
        """Values as they are stored, checked."""
        check_range(self.file, scaled=False, masked=False)
        size = (self.file.height, self.file.width)
        return Values(size, size)

    def held_out(self, most: int) -> FileHeldOut:
        """At most so many of its sequences, from their first frames."""
        windows = heads((number, 0, length) for number, length in enumerate(self.file.lengths))
        return FileHeldOut(self, self.file, windows.some(most, False))
