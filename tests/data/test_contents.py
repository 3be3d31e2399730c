"""The content of a file: an evaluation file beside it, what does not fit, and what is said of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from stored_sequences import SMALL, collect, file_data, saved

from harness.data import open_frames, open_source
from harness.data.moving_mnist import MovingMnist as Data
from harness.data.scaling import MinMax
from harness.data.sequences import Frames
from harness.errors import RequestError


def test_an_evaluation_file_changes_nothing_of_the_training(tmp_path: Path) -> None:
    path, other = saved(tmp_path / "a.npy", 40, 9, 6, 8), saved(tmp_path / "b.npy", 300, 8, 6, 8)
    alone, judged = open_source(file_data(path)), open_source(file_data(path, evaluation=str(other)))
    assert judged.test_sequences == 250
    assert judged.identity == {"train": alone.identity["train"], "evaluation": f"file:{open_frames(other).digest}:0-250"}
    assert torch.equal(judged.train_batch(0, 0, 9, 3, "cpu"), alone.train_batch(0, 0, 9, 3, "cpu"))
    assert torch.equal(collect(judged.validation(9, "cpu")), collect(alone.validation(9, "cpu")))


@pytest.mark.parametrize(
    ("train", "evaluation", "message"),
    [
        ((2, 9, 6, 8), None, "holds 2 sequences; at least 3"),
        ((9, 6, 6, 8), None, "sequences of 6 frames; data.input_frames 4 .* need 7"),
        (None, (6, 6, 16, 16), "sequences of 6 frames"),
        (None, (9, 7, 16, 12), r"\(1, 16, 12\), training has \(1, 16, 16\); set data.canvas to match"),
        ((9, 7, 1, 6, 8), (9, 7, 3, 6, 8), r"\(3, 6, 8\), training has \(1, 6, 8\); give an evaluation"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, train: tuple[int, ...] | None, evaluation: tuple[int, ...] | None, message: str
) -> None:
    data: Data | Frames = SMALL
    if train:
        data = file_data(saved(tmp_path / "train.npy", *train))
    if evaluation:
        data = dataclasses.replace(data, evaluation=str(saved(tmp_path / "evaluation.npy", *evaluation)))
    with pytest.raises(RequestError, match=message):
        open_source(data)


def test_two_parts_of_one_file_are_two_test_sets(tmp_path: Path) -> None:
    path = saved(tmp_path / "frames.npy", 40, 9, 16, 16)
    tail, whole = (open_source(file_data(path, evaluation=given)) for given in ("", str(path)))
    assert tail.identity["train"] == whole.identity["train"]
    assert tail.identity["evaluation"] != whole.identity["evaluation"]


def test_bad_values_are_found_before_training_starts(tmp_path: Path) -> None:
    array = np.zeros((20, 7, 6, 8), np.float32)
    array[3, 2, 1, 1] = np.nan
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(RequestError, match="sequence 3 holds nan"):
        _ = open_source(file_data(tmp_path / "bad.npy")).identity


def test_what_was_understood_of_a_file_is_said_in_values_and_words(tmp_path: Path) -> None:
    array = (np.random.default_rng(0).random((100, 20, 24)) * 40).astype(np.float32)
    array[:, :5, :6] = np.nan
    np.save(tmp_path / "rain.npy", array)
    data = Frames(
        path=str(tmp_path / "rain.npy"), input_frames=4, horizon=2, scaling=MinMax(), missing="nan", unit="mm/h", pad=8
    )
    content = open_source(data).content
    assert content is not None
    about = content.about
    assert (about["recordings"], about["frames"], about["shape"], about["dtype"]) == (1, 100, [1, 20, 24], "float32")
    assert about["missing_share"] == pytest.approx(30 / 480)
    assert about["range"] == pytest.approx([float(np.nanmin(array)), float(np.nanmax(array))])
    assert (about["windows"], about["train"], about["validation"], about["test"]) == (True, 75, 1, 1)
    assert about["test_in_training"] == 0
    low, high = np.nanmin(array[:80]), np.nanmax(array[:80])
    for words in (
        "rain.npy: read as T H W; train 75 windows of 4+2 frames, 1 channel, 20x24 padded to 24x24, float32",
        f"mm/h scaled by min-max of {low:.5g}..{high:.5g}",
        "6.2% missing (masked; shown as mean)",
        "validation 1; test 1",
    ):
        assert words in content.text


def test_test_sequences_that_occur_in_training_are_warned_of(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (40, 7, 6, 8), dtype=np.uint8)
    array[36:38] = array[3:5]
    np.save(tmp_path / "frames.npy", array)
    content = open_source(file_data(tmp_path / "frames.npy")).content
    assert content is not None
    assert content.text.splitlines()[-1] == "warning: 2 of 4 test sequences occur in training, frame by frame"


def test_a_crop_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "frames.npy", 40, 9, 6, 8)
    with pytest.raises(RequestError, match=r"data\.crop is .*; frames of 6x8 have nothing left"):
        open_source(file_data(path, crop=16))
