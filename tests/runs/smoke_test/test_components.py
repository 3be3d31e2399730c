"""Data, metrics, functions of the budget and terms of the loss: what each gives and what is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from broken_components import (
    Augment,
    Clips,
    Feeds,
    Glance,
    Horizons,
    Oracle,
    Rates,
    Score,
    Term,
)
from refusals import assert_refused

from harness.component import Component

SEQUENCES: dict[str, Any] = {"canvas": 16, "digit_size": 7, "input_frames": 3, "horizon": 3, "test_sequences": 4}

CASES: list[tuple[Component, str, str, str]] = [
    (Term(kind="map"), "loss=term", r"a float32 tensor of shape \(2, 3, 1, 16, 16\)", "wanted: a tensor with one number"),
    (Term(kind="number"), "loss=term", "a float", "wanted: a tensor with one number"),
    (Term(kind="nan"), "loss=term", "gave nan", "wanted: a finite number"),
    (Term(kind="detached"), "loss=term", "without a gradient", "wanted: one that trains"),
    (Term(kind="dice"), "loss=term", "drew from python's random", "wanted: draws"),
    (Term(kind="stateful"), "loss=term", "other values for the same arguments", "wanted: a function"),
    (Augment(kind="dice"), "data.augment=augment", "drew from torch's global generator", "wanted: draws"),
    (Augment(kind="cut"), "data.augment=augment", r"\(2, 5, 1, 16, 16\)", r"wanted.*\(2, 6, 1, 16, 16\)"),
    (Augment(kind="nan"), "data.augment=augment", "not finite", "wanted: intensities of 0 to 1"),
    (Augment(kind="bright"), "data.augment=augment", "intensities of 3 to", "wanted: 0 to 1"),
    (Augment(kind="in place"), "data.augment=augment", "changed the frames", "wanted: a tensor of its own"),
    (Score(kind="mean"), "metrics=score", r"a float64 tensor of shape \(2,\)", r"wanted.*\(2, 3, counts\)"),
    (Score(kind="number"), "metrics=score", "counts gave a float", r"wanted: a float64 tensor"),
    (Score(kind="float32"), "metrics=score", "counts gave a float32 tensor", r"wanted: a float64 tensor"),
    (Score(kind="nan"), "metrics=score", "finite frames are not finite", "wanted: finite numbers"),
    (Score(kind="dice"), "metrics=score", "drew from torch's global generator", "wanted: draws"),
    (Score(kind="stateful"), "metrics=score", "other values for the same arguments", "wanted: a function"),
    (Score(kind="text"), "metrics=score", r"finish gave a str \('good'\)", "wanted: a number"),
    (Clips(kind="cut", **SEQUENCES), "data=clips", r"\(1, 5, 1, 16, 16\)", r"wanted.*\(1, 6, 1, 16, 16\)"),
    (Clips(kind="bytes", **SEQUENCES), "data=clips", "a uint8 tensor", "wanted: a float32 tensor"),
    (Clips(kind="nan", **SEQUENCES), "data=clips", "not finite", "wanted: intensities of 0 to 1"),
    (Clips(kind="stateful", **SEQUENCES), "data=clips", "other values for the same arguments", "wanted: a function"),
    (Clips(kind="dice", **SEQUENCES), "data=clips", "drew from python's random", "wanted: draws"),
    (Glance(kind="flat"), "inference.views=glance", r"forward gave.*\(6, 1, 16, 16\)", "wanted: float32 frames"),
    (Glance(kind="dice"), "inference.views=glance", "drew from torch's global generator", "wanted: draws"),
    (Glance(kind="cut"), "inference.views=glance", r"inverse gave.*\(2, 6, 1, 16, 15\)", r"wanted.*\(2, 6, 1, 16, 16\)"),
    (
        Glance(kind="nan"),
        "inference.views=glance",
        "inverse has values that are not finite",
        "wanted: intensities of 0 to 1",
    ),
    (Oracle(), "inference.predictor=oracle", "build gave a NoneType", "wanted: a function"),
    (Oracle(kind="raising"), "inference.predictor=oracle", "IndexError", ""),
    (Oracle(kind="short"), "inference.predictor=oracle", r"\(2, 2, 1, 16, 16\)", r"wanted.*\(2, 3, 1, 16, 16\)"),
    (Oracle(kind="nan"), "inference.predictor=oracle", "not finite", "wanted: intensities of 0 to 1"),
    (Horizons(), "training.curriculum=horizons", r"gave 0\.0", "wanted: a whole number of frames, 1 to 3"),
    (Rates(), "training.schedule=rates", "gave 1.0", "wanted: finite numbers by name"),
    (Feeds(), "training.feeding=feeds", "drew from torch's global generator", "wanted: draws"),
]


@pytest.mark.parametrize(("component", "name", "came", "wanted"), CASES, ids=lambda one: getattr(one, "kind", None))
def test_a_broken_component_is_named_with_what_it_gave_and_what_is_wanted(
    component: Component, name: str, came: str, wanted: str, tmp_path: Path
) -> None:
    assert_refused(component, name, came, wanted, tmp_path)
