"""The checks that every part of the smoke test shares."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from trainings import cell_of

from harness.errors import RequestError
from harness.model.encoder_forecaster import ConvLSTMCell
from harness.presets import preset
from harness.runs.smoke_test.checks import (
    Setup,
    check_frames,
    described,
    finite_number,
    kept,
    same,
    same_twice,
)

CELL = ConvLSTMCell()
NAN = float("nan")


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ({"a": torch.ones(2)}, {"a": torch.ones(2)}, True),
        ({"a": torch.ones(2)}, {"a": torch.ones(2) + 1e-7}, False),
        ({"a": torch.ones(2)}, {"a": torch.ones(2, dtype=torch.float64)}, False),
        ({"a": torch.ones(2)}, {"b": torch.ones(2)}, False),
        ({"a": torch.tensor([NAN, 1.0])}, {"a": torch.tensor([NAN, 1.0])}, True),
        ({"a": 3, "b": [1]}, {"a": 3, "b": [1]}, True),
        ({"a": 3}, {"a": 4}, False),
        ({"a": torch.ones(1)}, {"a": "x"}, False),
    ],
)
def test_states_are_the_same_bit_for_bit(first: dict[str, Any], second: dict[str, Any], equal: bool) -> None:
    assert same(first, second) is equal


def test_what_a_checkpoint_holds_is_a_copy_of_tensors_and_plain_values() -> None:
    class Holder:
        def __init__(self) -> None:
            self.state: dict[str, Any] = {"weight": torch.zeros(2, requires_grad=True), "count": 3, "names": ("a",)}

        def state_dict(self) -> dict[str, Any]:
            return self.state

        def load_state_dict(self, state_dict: Any) -> None:
            raise AssertionError

    holder = Holder()
    found = kept(CELL, holder)
    assert (found["count"], found["names"], found["weight"].requires_grad) == (3, ["a"], False)
    with torch.no_grad():
        holder.state["weight"].add_(1)
    assert found["weight"].tolist() == [0, 0]
    holder.state["other"] = nn.Identity()
    with pytest.raises(
        RequestError, match=r"architecture\.cell=convlstm .*: its state cannot be saved .*wanted: tensors and JSON"
    ):
        kept(CELL, holder)


def test_a_function_gives_the_same_for_the_same() -> None:
    counted = iter(range(9))
    assert same_twice(preset("tiny"), CELL, "build", lambda: 3) == 3
    with pytest.raises(RequestError, match="build gave other values for the same arguments; wanted: a function"):
        same_twice(preset("tiny"), CELL, "build", lambda: next(counted))


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (torch.zeros(1, 2, 1, 4, 4).half(), r"gave a float16 tensor of shape \(1, 2, 1, 4, 4\); wanted: a float32 tensor"),
        (torch.zeros(1, 2, 1, 4, 5), r"gave a float32 tensor of shape \(1, 2, 1, 4, 5\); wanted: .* \(1, 2, 1, 4, 4\)"),
        (torch.full((1, 2, 1, 4, 4), NAN), "has values that are not finite; wanted: intensities of 0 to 1"),
        ([1], "gave a list; wanted"),
        (None, "gave a NoneType"),
    ],
)
def test_frames_are_finite_float32_of_one_shape(frames: object, words: str) -> None:
    check_frames(CELL, "a batch", torch.zeros(1, 2, 1, 4, 4), (1, 2, 1, 4, 4))
    with pytest.raises(RequestError, match=f"a batch {words}"):
        check_frames(CELL, "a batch", frames, (1, 2, 1, 4, 4))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.zeros(2, dtype=torch.int64), "a int64 tensor of shape (2,)"),
        ("good", "a str ('good')"),
        (1.5, "a float (1.5)"),
    ],
)
def test_what_was_given_is_said(value: object, text: str) -> None:
    assert described(value) == text


@pytest.mark.parametrize(
    ("value", "number"), [(1, True), (0.5, True), (True, False), (NAN, False), ("1", False), (None, False)]
)
def test_a_number_is_finite_and_no_bool(value: object, number: bool) -> None:
    assert finite_number(value) is number


def test_an_experiment_is_tried_with_two_sequences_or_as_many_as_a_batch_has() -> None:
    def size(batch: int) -> int:
        cell, source = cell_of({"training.batch_size": batch})
        return Setup(cell.experiment, source).size

    assert (size(1), size(2), size(4)) == (1, 2, 2)


def test_without_feeding_the_network_reads_the_truth_and_with_it_what_is_drawn() -> None:
    cell, source = cell_of()
    frames = torch.zeros(1, 6, 1, 16, 16)
    assert Setup(cell.experiment, source).fed(frames) is None
    cell, source = cell_of({"training.feeding": "scheduled-sampling"})
    fed = Setup(cell.experiment, source).fed(frames)
    assert fed is not None
    assert (tuple(fed.shape), fed.dtype) == ((1, 5), torch.bool)
