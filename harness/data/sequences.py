"""The setting for sequences of your own: which file, how its axes are read, how it is split, scaled, masked and padded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.component import CONTENT, EVALUATION, Component, setting, slot_field
from harness.data.contents import FileContent
from harness.data.frames import FrameFile, open_frames
from harness.data.source import Source
from harness.data.values import FILLS
from harness.data.windows import long_enough
from harness.errors import RequestError
from harness.experiment import MOST
from harness.notation import shown

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
        content = FileContent(self)
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
        return long_enough(found, self.input_frames, self.horizon) if found.as_sequences else found
