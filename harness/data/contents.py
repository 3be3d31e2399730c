"""A file of a user's data: its parts, how its values are scaled and masked, and how it was read."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.data.climatology import Climatology
from harness.data.frames import FrameFile
from harness.data.parts import FileHeldOut, FileTrain
from harness.data.values import Segment, Values, check_range, fit, means, sizes
from harness.data.windows import Windows, cut, heads, repeated, split
from harness.errors import RequestError

if TYPE_CHECKING:
    import torch


class FileContent:
    """The parts of a file and how it was read. `data` is the component that names the file."""

    def __init__(self, data: Any) -> None:
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

    # --- how it was read

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
