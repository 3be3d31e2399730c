"""Files of frames: whatever their packing, the same frames; whatever their damage, one clear line."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.data import scan as module
from harness.data.frames import open_frames
from harness.data.values import check_range
from harness.errors import RequestError


def frames(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("shape", [(6, 5, 8, 9), (6, 5, 3, 8, 9)])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("how", ["npy", "npz", "compressed"])
def test_every_packing_reads_the_same_frames(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, order: str, how: str
) -> None:
    raw = frames(*shape)
    array = np.asarray(raw if dtype == "uint8" else raw / 255, dtype=dtype, order=order)  # type: ignore[call-overload]
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


def test_the_digest_names_shape_type_and_content_not_the_packing(tmp_path: Path) -> None:
    array = frames(6, 5, 8, 8)
    np.savez(tmp_path / "a.npz", array)
    np.savez_compressed(tmp_path / "b.npz", frames=array, other=np.arange(3))
    changed = array.copy()
    changed[5, 4, 7, 7] ^= 1
    same = {open_frames(path).digest for path in (saved(tmp_path / "c.npy", array), tmp_path / "a.npz", tmp_path / "b.npz")}
    others = {
        open_frames(saved(tmp_path / f"{i}.npy", other)).digest
        for i, other in enumerate([changed, array.reshape(5, 6, 8, 8), array / np.float32(255)])
    }
    assert len(same) == 1
    assert len(others - same) == 3


def test_the_digest_does_not_depend_on_how_much_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.npy", frames(7, 3, 4, 4))
    whole = open_frames(path).digest
    monkeypatch.setattr(module, "_PART_BYTES", 100)
    assert open_frames(path).digest == whole


def test_the_layout_of_the_canonical_test_file_is_recognised(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "mnist_test_seq.npy", "w+", np.uint8, (20, 10_000, 4, 4))
    array[3, 77] = 9
    array.flush()
    file = open_frames(tmp_path / "mnist_test_seq.npy")
    assert (file.sequences, file.frames) == (10_000, 20)
    np.testing.assert_array_equal(file.read([77])[0, :, 0, 0, 0] * 255, [0, 0, 0, 9] + [0] * 16)
    assert open_frames(tmp_path / "mnist_test_seq.npy", "NTHW").sequences == 20


def test_a_layout_can_be_told(tmp_path: Path) -> None:
    array = frames(5, 6, 4, 4)
    path = saved(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(open_frames(path, "TNHW").read([2])[0, :, 0] * 255, array[:, 2])
    np.testing.assert_array_equal(open_frames(path).read([2])[0, :, 0] * 255, array[2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.01, 1.01, 255.0])
@pytest.mark.parametrize("layout", ["NTHW", "TNHW"])
def test_a_value_out_of_range_is_named_with_its_sequence(tmp_path: Path, bad: float, layout: str) -> None:
    array = frames(6, 5, 4, 4) / np.float32(255)
    array[4, 3, 1, 2] = bad
    path = saved(tmp_path / "bad.npy", array if layout == "NTHW" else array.swapaxes(0, 1))
    file = open_frames(path, layout)
    file.read([0, 1])
    for act in (lambda: file.read([0, 4]), lambda: check_range(open_frames(path, layout), scaled=False, masked=False)):
        with pytest.raises(RequestError, match=r"bad\.npy: sequence 4 holds .*in \[0, 1\]"):
            act()


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


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"does not exist; give a \.npy"):
        open_frames(tmp_path / "none.npy")
    with pytest.raises(RequestError, match="is a folder without frames"):
        open_frames(tmp_path)


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
