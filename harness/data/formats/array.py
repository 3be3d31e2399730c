"""What every format gives: arrays that are read by parts, and that notice when their file changes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError, RequestError

Part = tuple[slice, ...]
"""One slice with a step of 1 for each axis."""


@dataclass(frozen=True, eq=False)
class Array:
    """An array of a file, in the file's axes and type. Nothing is read before `read`.

    `dims` are the names of its axes where the format has them, `coordinates` the values along some of them, `unit` its unit.
    `variable` is its name in the file, `attributes` what the file says of it. `located` are xarray's variables that say where its
    frames lie: the coordinates without an axis of time, and the projection. `files` are what its content depends on.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fetch: Callable[[Part], NDArray[Any]]
    files: tuple[Path, ...]
    dims: tuple[str, ...] = ()
    coordinates: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    unit: str = ""
    variable: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    located: Mapping[str, Any] = field(default_factory=dict)
    declares_missing: bool = False
    """Whether the file says which values are missing; they are read as NaN."""
    stamp: tuple[tuple[int, int, int], ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamp", stamp(self.files))

    @property
    def bytes(self) -> int:
        """Size of the whole array, unpacked."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def read(self, *part: slice) -> NDArray[Any]:
        """A part of it; axes without a slice are read whole.

        Raises RequestError when the file is damaged, HarnessError when it changed since it was opened.
        """
        whole = (*part, *(slice(None) for _ in self.shape[len(part) :]))
        exact = tuple(slice(*one.indices(size)) for one, size in zip(whole, self.shape, strict=True))
        self.check_unchanged()
        try:
            found = self.fetch(exact)
        except (RequestError, HarnessError):
            raise
        except Exception as error:  # each library has its own errors for damaged content
            self.check_unchanged()
            raise RequestError(
                f"{self.path}: {_where(self._unreadable(exact))} cannot be read ({_line(error)}); copy or make the file again"
            ) from None
        wanted = tuple(one.stop - one.start for one in exact)
        if found.shape != wanted:
            self.check_unchanged()
            raise RequestError(
                f"{self.path}: {_where(exact)} holds an array of shape {found.shape}, not {wanted}; make the file again"
            )
        return found

    def _unreadable(self, part: Part) -> Part:
        """The first index along the first axis at which a part that cannot be read fails, by halves."""
        first, *rest = part
        while first.stop - first.start > 1:
            half = (first.start + first.stop) // 2
            try:
                self.fetch((slice(first.start, half, 1), *rest))
                first = slice(half, first.stop, 1)
            except Exception:  # each library has its own errors for damaged content
                first = slice(first.start, half, 1)
        return (first, *rest)

    def check_unchanged(self) -> None:
        """Raises HarnessError when a file has another size or time than when it was opened."""
        if stamp(self.files) != self.stamp:
            raise HarnessError(
                f"{self.path} changed while it was in use, so what is read now is not one data set; start again when it is complete"
            )


def stamp(files: Iterable[Path]) -> tuple[tuple[int, int, int], ...]:
    """Size, time of change and inode of each file; zeros for one that is gone."""
    found = []
    for path in files:
        try:
            status = path.stat()
            found.append((status.st_size, status.st_mtime_ns, status.st_ino))
        except OSError:
            found.append((0, 0, 0))
    return tuple(found)


def _where(part: Part) -> str:
    return f"[{', '.join(f'{one.start}:{one.stop}' for one in part)}]"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def extra(module: str, name: str, path: Path) -> Any:
    """A library that only some formats need. Raises RequestError that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise RequestError(
            f"{path} needs {module}, which is not installed; pip install 'ablation-harness[{name}]'"
        ) from None


def choose(path: Path, arrays: Mapping[str, tuple[int, ...]], variable: str, preferred: tuple[str, ...] = ()) -> str:
    """The array to read: the one that is named, a preferred one, or the only one with frames (three axes or more).

    Raises RequestError with what there is.
    """
    listed = ", ".join(f"{name} {shape}" for name, shape in sorted(arrays.items())[:8]) or "none"
    if variable:
        if variable not in arrays:
            raise RequestError(f"{path} has no array {variable!r}; it holds the arrays: {listed}")
        return variable
    for name in preferred:
        if name in arrays:
            return name
    usable = [name for name, shape in arrays.items() if len(shape) >= 3] or list(arrays)
    if len(usable) != 1:
        raise RequestError(f"{path} holds the arrays: {listed}; name the one with the frames: --set data.variable=NAME")
    return usable[0]
