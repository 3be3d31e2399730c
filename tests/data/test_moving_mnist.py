"""Moving MNIST as a component: sizes that fit, and a test set that is the same everywhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stored_sequences import SMALL, collect

from harness.data import open_frames, open_source
from harness.data.moving_mnist import MovingMnist as Data
from harness.errors import RequestError


def test_a_smaller_test_set_is_the_start_of_a_larger_one() -> None:
    small = open_source(dataclasses.replace(SMALL, test_sequences=70))
    assert torch.equal(collect(small.test(32, "cpu")), collect(open_source(SMALL).test(100, "cpu"))[:70])


def test_a_test_set_has_one_name_on_every_machine() -> None:
    assert open_source(SMALL).test_digest() == PINNED


PINNED = "e25c66ef8d3cc8dc8739f60225bcd139f89f2ff33fe4462f4bd433f13d632d47"


def test_the_test_digest_names_frames_and_their_number(tmp_path: Path) -> None:
    digests = {
        open_source(dataclasses.replace(SMALL, **changes)).test_digest()
        for changes in ({}, {"test_seed": 8}, {"test_sequences": 249}, {"speed": 0.2}, {"horizon": 2})
    }
    assert len(digests) == 5
    unflipped = open_source(dataclasses.replace(SMALL, flip_horizontal=0.0, validation_sequences=3))
    assert unflipped.test_digest() == open_source(SMALL).test_digest()


def test_generated_frames_saved_to_a_file_are_the_same_test_set(tmp_path: Path) -> None:
    generated = open_source(SMALL)
    frames = (collect(generated.test(100, "cpu")) * 255).round().to(torch.uint8)[:, :, 0]
    np.save(tmp_path / "test.npy", frames.numpy())
    stored = open_source(dataclasses.replace(SMALL, evaluation=str(tmp_path / "test.npy")))
    assert stored.test_digest() == generated.test_digest()
    assert torch.equal(collect(stored.test(60, "cpu")), collect(generated.test(60, "cpu")))
    assert torch.equal(collect(stored.validation(60, "cpu")), collect(generated.validation(60, "cpu")))
    assert stored.identity["train"] == generated.identity["train"]
    assert stored.identity["evaluation"] == f"file:{open_frames(tmp_path / 'test.npy').digest}:0-250"


def test_identity_names_the_content_and_needs_no_test_set() -> None:
    source = open_source(dataclasses.replace(SMALL, test_sequences=10**9))
    assert source.identity == {"train": f"moving-mnist:{source.digits['digest']}", "evaluation": source.identity["train"]}
    assert source.digits["source"] == "embedded"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"digit_size": 9}, r"digit_size is 9; it must divide 28 \(2, 4, 7, 14 or 28\)"),
        ({"canvas": 8, "digit_size": 14}, "canvas is 8; a digit of 14 pixels does not fit"),
        ({"canvas": 4096, "input_frames": 1000}, "takes more than 4 GiB; lower data.canvas"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Data(**settings)
