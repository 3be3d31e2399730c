"""Digits and frames at the command line: what is used is named, what is not whole is refused."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, contents, idx, refused


def test_digits_of_a_folder_are_used_and_named(harness: Command, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("run", "--dry-run", "--preset", "tiny", "--json")
    document = harness(*words, "--digits", digits).document
    assert document["digits"]["source"] == "idx"
    monkeypatch.setenv("HARNESS_DIGITS", str(digits))
    assert harness(*words).document == document
    monkeypatch.delenv("HARNESS_DIGITS")
    assert harness(*words).document["run_id"] != document["run_id"]


SOME = np.zeros((24, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "has no train-images-idx3-ubyte"),
        (b"", "is not an IDX file of images: it starts with nothing"),
        (idx(SOME)[:9], "is truncated"),
        (idx(SOME)[:-1], "is truncated"),
        (idx(SOME) + b"x", "holds more than"),
        (idx(SOME, b"\0\0\x08\x01"), "is not an IDX file of images"),
        (idx(SOME[:, :27]), "holds items of 27x28 pixels; digits are 28x28"),
        (gzip.compress(idx(SOME))[:-9], "train-images-idx3-ubyte is truncated or damaged"),
        (idx(SOME)[:4] + struct.pack(">3I", 2**32 - 1, 28, 28), "announces"),
    ],
    ids=["missing", "empty", "header cut", "cut", "too long", "magic", "shape", "gzip cut", "absurd count"],
)
def test_a_digits_folder_that_is_not_whole_is_refused(
    harness: Command, unharmed: Path, digits: Path, content: bytes | None, said: str
) -> None:
    path = digits / "train-images-idx3-ubyte"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    refused(harness("run", "--preset", "tiny", "--digits", digits, "--store", unharmed, "--json"), str(digits), said)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda frames: frames * 2, "[0, 1]"),
        (lambda frames: frames - 0.5, "[0, 1]"),
        (lambda frames: np.where(frames > 0.9, np.nan, frames), "[0, 1]"),
        (lambda frames: np.where(frames > 0.9, np.inf, frames), "[0, 1]"),
        (lambda frames: frames[..., :15, :15], "15x15 pixels; this architecture needs multiples of 4"),
        (lambda frames: frames[..., :8, :8], "11x11"),
        (lambda frames: frames[:, :4], "name the axes: --set"),
        (lambda frames: frames[:2], "at least 3"),
        (lambda frames: frames[0], "give longer recordings"),
    ],
    ids=["above 1", "below 0", "nan", "inf", "odd size", "too small", "too short", "too few", "one short recording"],
)
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_frames_that_cannot_be_used_are_refused(
    harness: Command,
    unharmed: Path,
    tmp_path: Path,
    make: Callable[[Any], Any],
    said: str,
    ending: str,
) -> None:
    path = tmp_path / f"frames.{ending}"
    frames = make(np.random.default_rng(0).random((12, 6, 16, 16), np.float32))
    np.save(path, frames) if ending == "npy" else np.savez(path, frames=frames)
    before = contents(unharmed)
    answer = harness("run", "--preset", "tiny", "--set", f"data.frames={path}", "--store", unharmed, "--json")
    refused(answer, said)
    assert contents(unharmed) == before


def test_views_that_turn_frames_that_are_not_square_are_refused_before_training(
    harness: Command, unharmed: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "wide.npy", (np.arange(12 * 6 * 16 * 20).reshape(12, 6, 16, 20) % 251).astype(np.uint8))
    words = ("run", "--preset", "tiny", "--set", f"data.frames={tmp_path / 'wide.npy'}", "--set", "inference.views=rot90")
    answer = harness(*words, "--store", unharmed, "--json")
    refused(answer, "swaps height and width")
    assert "step" not in answer.err


def test_data_verify_tells_what_is_wrong_file_by_file(harness: Command, digits: Path) -> None:
    answer = harness("data", "verify", "--digits", digits, "--json")
    assert (answer.code, answer.document["ok"]) == (1, False)
    assert len(answer.document["files"]) == 4
    assert harness("data", "verify", "--digits", digits).out.count("\n") == 4
