"""Which axis of an array is what: named by letters or by the file's dimension names, inferred only where one reading is possible.

Letters: N sequences, T frames, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RequestError

LETTERS = "NTCHW"
MOVING_MNIST_TEST = (20, 10_000)
"""The first axes of the canonical mnist_test_seq.npy: frames before sequences."""
MOST_CHANNELS = 4
"""An axis of this length or less in the last place is taken for channels, not for pixels."""
_KNOWN = {
    "N": "n sample samples sequence sequences batch member ensemble realization number event",
    "T": "t time times frame frames step date valid_time month",
    "C": "c channel channels band bands variable feature rgb",
    "H": "h y lat latitude row rows height northing projection_y_coordinate grid_latitude nlat rlat",
    "W": "w x lon longitude col cols column width easting projection_x_coordinate grid_longitude nlon rlon",
}
NAMES_OF_AXES = {name: letter for letter, names in _KNOWN.items() for name in names.split()}
"""The letter that a well-known name of an axis means."""
_READINGS = {3: ("THW",), 4: ("NTHW", "TNHW", "THWC", "TCHW"), 5: ("NTCHW", "NTHWC")}
HOW = 'name the axes: --set "data.layout=T H W C", or by the file\'s names: --set "data.layout=time=T lat=H lon=W"'


@dataclass(frozen=True)
class Layout:
    """The letter of every axis of an array; '' for an axis of length 1 that is left out."""

    letters: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(one for one in self.letters if one)

    def size(self, shape: Sequence[int], letter: str) -> int:
        """The length of an axis; 1 where there is none."""
        return shape[self.letters.index(letter)] if letter in self.letters else 1

    def sizes(self, shape: Sequence[int]) -> tuple[int, int, int, int, int]:
        """Lengths of N, T, C, H and W."""
        n, t, c, h, w = (self.size(shape, letter) for letter in LETTERS)
        return n, t, c, h, w

    def ordered(self, found: NDArray[Any]) -> NDArray[Any]:
        """An array with the axes of the file as (N, T, C, H, W)."""
        letters = self.letters
        kept_sizes = [size for size, letter in zip(found.shape, letters, strict=True) if letter]
        kept = [letter for letter in letters if letter]
        ordered: NDArray[Any] = found.reshape(kept_sizes).transpose(
            [kept.index(letter) for letter in "NTCHW" if letter in kept]
        )
        for axis, letter in enumerate("NTCHW"):
            if letter not in kept:
                ordered = np.expand_dims(ordered, axis)
        return ordered


def layout_of(
    path: Path, shape: tuple[int, ...], dims: tuple[str, ...], given: str, frames: int | None, fewest: int = 1
) -> Layout:
    """The layout of an array.

    Args:
        dims: the names of its axes, empty where the format has none.
        given: letters ("T H W C" or "THWC"), dimension names ("time lat lon"), both ("time=T lat=H lon=W"), or "auto".
        frames: frames that a sequence must have, which rules readings out; None: the first reading is taken.
        fewest: sequences that are needed.

    Raises RequestError when `given` does not suit the array, or "auto" has no reading or several: an axis is never guessed.
    """
    if len(shape) == 5 and given in ("NTHW", "TNHW"):  # what earlier settings said of 4-D arrays alone
        return Layout(tuple("NTCHW"))
    if given.strip().lower() != "auto":
        return _named(path, shape, dims, given)
    if dims and (found := _by_names(shape, dims)) is not None:
        return found
    if dims:
        raise RequestError(
            f"{path} has the axes {_axes(shape, dims)}, whose names do not tell time, height and width; {HOW}"
        )
    if len(shape) not in _READINGS or min(shape) < 1:
        raise RequestError(
            f"{path} holds an array of shape {shape}; frames are (T, H, W), (N, T, H, W) or (N, T, C, H, W), no axis empty"
        )
    return _inferred(path, shape, frames, fewest)


def _inferred(path: Path, shape: tuple[int, ...], frames: int | None, fewest: int) -> Layout:
    if shape[:2] == MOVING_MNIST_TEST and len(shape) == 4:
        return Layout(tuple("TNHW"))
    readings = [Layout(tuple(one)) for one in _READINGS[len(shape)]]
    if frames is None:
        return readings[0]
    likely = [one for one in readings if _likely(one, shape)]
    if len(shape) == 5 and likely and str(likely[0]) == "N T H W C":
        raise RequestError(
            f"{path} has the shape {shape}: its last axis looks like {shape[-1]} channels, not like {shape[-1]} pixels of width; "
            'if so: --set "data.layout=N T H W C"'
        )
    possible = [
        one for one in likely if one.size(shape, "T") >= frames and ("N" not in str(one) or one.size(shape, "N") >= fewest)
    ]
    # The usual order, with exactly the frames that a sequence needs, is no guess: 10,000 sequences of 20 frames.
    usual = [one for one in possible if str(one) == "N T H W" and one.size(shape, "T") == frames]
    found = usual if usual and shape[0] != frames else possible
    if len(found) > 1:
        several = " or ".join(f'"{one}" ({_words(one, shape)})' for one in found)
        raise RequestError(
            f'{path} has the shape {shape}, which can be read as {several}; name the axes: --set "data.layout={found[0]}"'
        )
    # None is possible: what comes of the usual reading says what is wrong with it.
    return (found or likely or readings)[0]


def _likely(one: Layout, shape: tuple[int, ...]) -> bool:
    channels, height, width = (one.size(shape, letter) for letter in "CHW")
    return (("C" not in one.letters or channels <= MOST_CHANNELS) and min(height, width) > MOST_CHANNELS) or (
        len(shape) == 5 and one.letters[2] == "C" and min(height, width) > MOST_CHANNELS
    )


def _words(one: Layout, shape: tuple[int, ...]) -> str:
    n, t, c, h, w = one.sizes(shape)
    what = f"{n} sequences of {t} frames" if "N" in one.letters else f"one recording of {t} frames"
    return f"{what}, {c} channel{'s' * (c > 1)}, {h}x{w}"


def _by_names(shape: tuple[int, ...], dims: tuple[str, ...]) -> Layout | None:
    """The layout that well-known names tell; axes of length 1 without such a name are left out. None when they do not tell it."""
    letters = [one if one in LETTERS else NAMES_OF_AXES.get(one.lower(), "") for one in dims]
    if any(not letter and size > 1 for letter, size in zip(letters, shape, strict=True)):
        return None
    used = [letter for letter in letters if letter]
    return Layout(tuple(letters)) if len(used) == len(set(used)) and set("THW") <= set(used) else None


def _named(path: Path, shape: tuple[int, ...], dims: tuple[str, ...], given: str) -> Layout:
    words = given.replace(",", " ").split()
    if len(words) == 1 and "=" not in given and set(words[0].upper()) <= set(LETTERS) and len(words[0]) > 1:
        words = list(words[0].upper())
    letters: list[str] = []
    if any("=" in one for one in words):
        by_name = dict(one.split("=", 1) for one in words if "=" in one)
        if unknown := by_name.keys() - set(dims):
            raise RequestError(
                f"data.layout {given!r} names {sorted(unknown)[0]!r}; {path} has the axes {_axes(shape, dims)}"
            )
        letters = [by_name.get(one, "").upper() for one in dims]
    elif all(one.upper() in LETTERS for one in words):
        letters = [one.upper() for one in words]
    else:
        if sorted(words) != sorted(dims):
            raise RequestError(f"data.layout {given!r} does not name the axes of {path}: {_axes(shape, dims)}; {HOW}")
        letters = [NAMES_OF_AXES.get(one.lower(), "") for one in dims]
    used = [one for one in letters if one]
    left_out = [size for one, size in zip(letters, shape, strict=False) if not one]
    if (
        len(letters) != len(shape)
        or len(set(used)) != len(used)
        or not set("THW") <= set(used) <= set(LETTERS)
        or any(size != 1 for size in left_out)
    ):
        raise RequestError(
            f"data.layout {given!r} does not suit {path} of shape {shape}: name each axis once, with T, H and W among them "
            "(N sequences, C channels); only an axis of length 1 may be left out"
        )
    return Layout(tuple(letters))


def _axes(shape: tuple[int, ...], dims: tuple[str, ...]) -> str:
    return (
        ", ".join(f"{name} ({size})" for name, size in zip(dims, shape, strict=True)) if dims else f"{shape} without names"
    )
