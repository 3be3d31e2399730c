"""Bad input ends in a result or in the project's own error, and what a file claims is refused before it is allocated."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import MEMORY, campaign

from harness.data.digits import TEST_IMAGES, TRAIN_IMAGES, load_digits
from harness.data.sequences import open_frames
from harness.errors import HarnessError
from harness.maintenance.doctor import _records
from harness.runs.request import read_config
from harness.store import Folder, Training
from harness.variant import Variants
from reports.analysis.reading import read_document


@pytest.mark.filterwarnings("default")
def test_a_sample_of_bad_input_is_refused_or_read_and_never_anything_else() -> None:
    found = campaign(300, 2026)
    wrong = {name: count["unexpected"] for name, count in found["readers"].items() if count["unexpected"]}
    assert not wrong
    assert found["cases"] == found["results"] + found["refused"] >= 290
    assert all(count["cases"] for count in found["readers"].values())
    assert found["memory_bytes"] < MEMORY


def packed(content: bytes, method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("frames.npy", content)
    return stream.getvalue()


def header(shape: str, version: int = 1) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H" if version == 1 else "<I", len(text)) + text


def zeros_gzipped(start: bytes, mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(start), *(packer.compress(bytes(1 << 20)) for _ in range(mebibytes))]
    return b"".join([*parts, packer.flush()])


def member_of_zeros(start: bytes, mebibytes: int, method: int) -> bytes:
    """A zip archive whose member starts so and continues with zeros."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, archive.open("frames.npy", "w") as member:
        member.write(start)
        for _ in range(mebibytes):
            member.write(bytes(1 << 20))
    return stream.getvalue()


def written(read: Callable[[Path], object], make: Callable[[], bytes], *names: str) -> Callable[[Path], object]:
    """Writes files in a folder, and reads the folder, or the file when there is one name. The reading is traced."""

    def call(folder: Path) -> object:
        content = make()
        for name in names:
            (folder / name).write_bytes(content)
        tracemalloc.start()
        return read(folder / names[0] if len(names) == 1 else folder)

    return call


def digits(make: Callable[[], bytes]) -> Callable[[Path], object]:
    return written(load_digits, make, TRAIN_IMAGES, TEST_IMAGES)


def frames(make: Callable[[], bytes]) -> Callable[[Path], object]:
    return written(open_frames, make, "x.npy")


def sparse(name: str, read: Callable[[Path], object], start: bytes = b"") -> Callable[[Path], object]:
    """A file that starts so and continues with a terabyte of nothing."""

    def call(folder: Path) -> object:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(10**12)
        tracemalloc.start()
        return read(folder / name)

    return call


def checked(path: Path) -> object:
    return Training(path.parent).check_checkpoint(path.name)


LAST = f"trainings/{'a' * 16}/last.safetensors"
TABLE = json.dumps({"__metadata__": {}, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
LONG_HEADER = b"\x93NUMPY\x02\x00" + struct.pack("<I", 60 << 20)
BOMBS = {
    "gzip of more digits than announced": digits(
        lambda: zeros_gzipped(bytes((0, 0, 8, 3)) + struct.pack(">III", 5, 28, 28), 64)
    ),
    "IDX that announces 4 billion digits": digits(lambda: bytes((0, 0, 8, 3)) + struct.pack(">III", 2**32 - 1, 28, 28)),
    "IDX that announces a million digits": digits(
        lambda: gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">III", 10**6, 28, 28))
    ),
    "npy of 10^12 frames": frames(lambda: header("(1000000000000, 20, 64, 64)")),
    "npy of more frames than numbers have bits": frames(lambda: header(f"({10**30}, 20, 64, 64)")),
    "npz of 10^12 frames": frames(lambda: packed(header("(1000000000000, 20, 64, 64)"), zipfile.ZIP_DEFLATED)),
    "npz that announces 1.9 GiB and holds none": frames(
        lambda: packed(header("(500000000, 1, 1, 1)"), zipfile.ZIP_DEFLATED)
    ),
    "npz with more items than announced": frames(lambda: member_of_zeros(header("(2, 2, 8, 8)"), 64, zipfile.ZIP_DEFLATED)),
    "npz with a header of 60 MiB": frames(lambda: member_of_zeros(LONG_HEADER, 64, zipfile.ZIP_DEFLATED)),
    "npz packed with bzip2": frames(lambda: member_of_zeros(header("(2, 2, 8, 8)"), 36, zipfile.ZIP_BZIP2)),
    "npz packed with LZMA": frames(lambda: member_of_zeros(header("(2, 2, 8, 8)"), 2, zipfile.ZIP_LZMA)),
    "a record of a terabyte": sparse("result.json", lambda path: Folder(path.parent).read(path.name)),
    "lines of a terabyte": sparse("metrics.jsonl", lambda path: Folder(path.parent).lines(path.name)),
    "a report's data of a terabyte": sparse("data.json", read_document),
    "a config of a terabyte": sparse("config.toml", read_config),
    "a state of a terabyte": sparse(LAST, checked),
    "a state of a terabyte that says that it has 4 bytes": sparse(LAST, checked, struct.pack("<Q", len(TABLE)) + TABLE),
    "a state whose header has a terabyte": sparse(LAST, checked, struct.pack("<Q", 10**12 - 8)),
    "a state of a terabyte, looked at by doctor": sparse(LAST, lambda path: _records(path.parents[2])),
    "a config that never ends": written(lambda _: read_config(Path("/dev/zero")), bytes),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_a_file_claims_is_refused_before_it_is_allocated(bomb: str, tmp_path: Path) -> None:
    try:
        with pytest.raises(HarnessError):
            BOMBS[bomb](tmp_path)  # starts to trace when the file is there
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_checkpoint_that_claims_more_than_the_network_is_not_loaded(tmp_path: Path) -> None:
    import torch

    from harness.component import Shape
    from harness.runs.request import Request
    from harness.store import DamagedRecord
    from harness.training.checkpoint import load_model

    experiment = Request(preset="tiny").experiment(Variants(third_party=False), "base")
    size = 4 * 10**12
    text = json.dumps({"head.weight": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, size]}}).encode()
    with (tmp_path / "x.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)  # the file is as long as it says, and takes no room on the disk
    with pytest.raises(DamagedRecord, match="does not hold this experiment's network"):
        load_model(experiment, Shape(1, 16, 16, 3, 3), tmp_path / "x.safetensors", torch.device("cpu"))
