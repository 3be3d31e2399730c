"""Views are what their names say, and are undone exactly."""

from __future__ import annotations

import pytest
import torch
from all_views import VIEWS, views_of

from harness.presets import preset

DRAWN = {
    "identity": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    "hflip": [[3, 2, 1], [6, 5, 4], [9, 8, 7]],
    "vflip": [[7, 8, 9], [4, 5, 6], [1, 2, 3]],
    "rot90": [[3, 6, 9], [2, 5, 8], [1, 4, 7]],
    "rot180": [[9, 8, 7], [6, 5, 4], [3, 2, 1]],
    "rot270": [[7, 4, 1], [8, 5, 2], [9, 6, 3]],
    "transpose": [[1, 4, 7], [2, 5, 8], [3, 6, 9]],
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_views_of_an_experiment_keep_the_order_given_and_are_recorded_by_name() -> None:
    made = preset("tiny").replace({"inference.views": "vflip,identity,rot90"})
    assert made.inference.views == views_of("vflip", "identity", "rot90")
    assert made.to_dict()["inference"]["views"] == ["vflip", "identity", "rot90"]
    assert type(made).from_dict(made.to_dict()) == made


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_does_what_its_name_says(name: str) -> None:
    frame = torch.tensor(DRAWN["identity"])
    assert VIEWS[name].forward(frame).tolist() == DRAWN[name]


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 1, 8, 8), (1, 2, 3, 5, 9)])
def test_the_inverse_undoes_the_view_exactly(name: str, shape: tuple[int, ...]) -> None:
    frames = torch.rand(shape)
    there = VIEWS[name].forward(frames)
    assert torch.equal(VIEWS[name].inverse(there), frames)
    assert torch.equal(VIEWS[name].forward(VIEWS[name].inverse(frames)), frames)
    assert (there.shape != frames.shape) == (VIEWS[name].swaps_axes and shape[-1] != shape[-2])
