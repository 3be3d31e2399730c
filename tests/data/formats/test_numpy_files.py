"""`.npy` and `.npz` files: whatever their packing, the same frames; whatever their damage, one clear line."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.data.frames import open_frames
from harness.errors import RequestError


def frames(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(6, 5, 8, 9), (6, 5, 3, 8, 9)])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("how", ["npy", "npz", "compressed"])
def test_every_packing_reads_the_same_frames(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, order: Any, how: str
) -> None:
    raw = frames(*shape)
    array = np.asarray(raw if dtype == "uint8" else raw / 255, dtype=dtype, order=order)
    path = tmp_path / f"x.{how}"
    with open(path, "wb") as stream:
        {"npy": np.save, "npz": np.savez, "compressed": np.savez_compressed}[how](stream, array)
    file = open_frames(path)
    assert (file.sequences, file.frames, file.height, file.width) == (6, 5, 8, 9)
    assert file.channels == (3 if len(shape) == 5 else 1)
    expected = array.reshape(6, 5, -1, 8, 9)[[4, 0, 4], 1:3].astype(np.float32)
    read = file.read([4, 0, 4], slice(1, 3))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, expected / np.float32(255) if dtype == "uint8" else expected)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def claiming(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


GOOD = npy(frames(4, 3, 5, 5))

HUGE = claiming("(1000000000, 10, 10, 10)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is neither"),
        (b"hello, world", "is neither"),
        (pickle.dumps([1, 2]), "is a pickle, which is never loaded"),
        (npy(np.array([[1], None], dtype=object)), "pickled Python objects, which are never loaded"),
        (zipped({"arr_0.npy": npy(np.array([[1], None], dtype=object))}), "pickled Python objects"),
        (npy(np.zeros((4, 3, 5, 5), np.complex64)), "holds complex64 values; give numbers"),
        (npy(np.zeros((4, 3, 5, 5), [("a", "u1")])), "holds .* values"),
        (npy(np.zeros((5, 5), np.uint8)), r"shape \(5, 5\); frames are"),
        (npy(np.zeros((4, 3, 0, 5), np.uint8)), "no axis empty"),
        (claiming("(4, -3, 5, 5)"), "no axis empty"),
        (GOOD[:-1], "is truncated: shape .* takes 300 bytes, 299 are there"),
        (GOOD[:40], "damaged .npy header"),
        (HUGE, "is truncated: .* takes 1,000,000,000,000 bytes"),
        (claiming("(4, 3, 5, 5)", "'" + "(" * 500 + "'"), "damaged .npy header"),
        (zipped({"a.npy": HUGE}), "unpacks to 1,000,000,000,000 bytes"),
        (zipped({"a.npy": HUGE}, zipfile.ZIP_STORED), "is truncated"),
        (zipped({"a.npy": GOOD + bytes(20_000_000)}), "is damaged"),
        (zipped({"a.npy": GOOD[:-1]}), "is damaged"),
        (zipped({"a.npy": GOOD, "b.npy": GOOD}), "holds the arrays: a, b; name the one with the frames 'frames'"),
        (zipped({"readme.txt": b""}), "holds the arrays: none"),
        (zipped({"a.npy": GOOD})[:-30], "damaged .npz"),
    ],
)
def test_a_bad_file_gets_one_clear_line_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "frames.npy"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message) as caught:
        open_frames(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), how=st.sampled_from(["npy", "stored", "packed"]))
def test_any_damage_ends_in_frames_or_in_a_request_error(tmp_path: Path, data: st.DataObject, how: str) -> None:
    good = {
        "npy": GOOD,
        "stored": zipped({"arr_0.npy": GOOD}, zipfile.ZIP_STORED),
        "packed": zipped({"arr_0.npy": GOOD}),
    }[how]
    content = bytearray(good)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "frames"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(RequestError):
        file = open_frames(path)
        assert file.read([0]).shape[1:] == (file.frames, file.channels, file.height, file.width)
        assert len(file.digest) == 64
