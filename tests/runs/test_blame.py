"""A failure is laid at the component whose code it is of, and nobody draws from the generators that all share."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from broken_components import Logs, NotFiniteInside
from networks import experiment
from torch import nn

from harness.errors import HarnessError, RequestError
from harness.model.encoder_forecaster import ConvLSTMCell
from harness.presets import preset
from harness.runs.blame import blamed, calling, first_module, inside, preserved_randomness, suspect, who

TINY = preset("tiny")


def test_a_component_is_named_with_its_slot_and_its_module() -> None:
    assert who(ConvLSTMCell()) == "architecture.cell=convlstm (harness.model.encoder_forecaster)"


def test_components_are_found_the_deepest_first_and_the_first_stranger_is_suspected() -> None:
    assert [one.name for one in inside(TINY.architecture)] == ["convlstm", "direct", "encoder-forecaster"]
    assert suspect(TINY.architecture) is TINY.architecture
    filled = TINY.replace({"architecture.bottleneck": NotFiniteInside()}).architecture
    assert suspect(filled) == NotFiniteInside()


def test_a_module_belongs_to_the_component_whose_package_it_is_of() -> None:
    attention = experiment("attention")
    bottleneck = attention.architecture.bottleneck
    assert blamed(attention, bottleneck.build(8)) == bottleneck
    assert blamed(TINY.replace({"architecture.bottleneck": NotFiniteInside()}), Logs()) == NotFiniteInside()
    assert blamed(attention, nn.Linear(1, 1)) is None
    assert blamed(attention, None) is None


def test_the_first_module_with_a_bad_output_is_found_innermost_first() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Identity(), Logs()), nn.ReLU())

    def bad(output: object) -> bool:
        return isinstance(output, torch.Tensor) and not bool(output.isfinite().all())

    assert first_module(model, lambda: model(torch.ones(2)), bad) is model[1][1]  # type: ignore[index]  # torch types a module's children loosely
    assert first_module(model, lambda: model(torch.full((2,), 9.0)), bad) is None
    assert not any(module._forward_hooks for module in model.modules())


def test_what_anothers_code_raises_is_one_line_that_names_it() -> None:
    component = NotFiniteInside()
    with pytest.raises(RequestError) as caught, calling(TINY, component, "build"):
        raise ValueError("no\n  such layer")
    assert str(caught.value) == (
        "architecture.bottleneck=logs (broken_components): build failed with ValueError: no such layer"
    )
    for passed in (HarnessError("ours"), torch.OutOfMemoryError("full")):
        with pytest.raises(type(passed), match=str(passed)), calling(TINY, component, "build"):
            raise passed


@pytest.mark.parametrize(
    ("draw", "whose"),
    [
        (random.random, "python's random"),
        (np.random.random, "numpy's global generator"),
        (lambda: torch.rand(1), "torch's global generator"),
    ],
    ids=["python", "numpy", "torch"],
)
def test_a_draw_from_a_shared_generator_is_refused(draw: object, whose: str) -> None:
    assert callable(draw)
    refused = pytest.raises(RequestError, match=f"build drew from {whose}; wanted: draws from a generator")
    with preserved_randomness():
        with refused, calling(TINY, NotFiniteInside(), "build"):
            draw()
        with calling(TINY, NotFiniteInside(), "build"):
            np.random.default_rng(0).random()
            torch.rand(1, generator=torch.Generator())


def test_where_torchs_generator_is_seeded_it_alone_may_be_drawn_from() -> None:
    with preserved_randomness(), calling(TINY, NotFiniteInside(), "build", may_draw=True):
        torch.rand(1)
    refused = pytest.raises(RequestError, match="torch's generator alone")
    with preserved_randomness(), refused, calling(TINY, NotFiniteInside(), "build", may_draw=True):
        random.random()


def test_shared_generators_are_put_back_after_an_error_too() -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(1))

    with preserved_randomness():
        random.seed(1)
        np.random.seed(1)
        torch.default_generator.manual_seed(1)
        with pytest.raises(ZeroDivisionError), preserved_randomness():
            drawn()[0] / 0
        after = drawn()
        random.seed(1)
        np.random.seed(1)
        torch.default_generator.manual_seed(1)
        assert drawn() == after
