"""What takes the network's place: nothing is trained, and what cannot be predicted is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from networks import TINY, frames

from harness.component import Shape
from harness.errors import RequestError
from harness.evaluation import flow
from harness.evaluation.predictors import Advection, Blank, RepeatLast, Untrained


def test_blank_is_zeros_and_repeat_last_the_last_frame() -> None:
    shown = frames(batch=2, count=3)
    assert torch.equal(Blank().build(TINY)(shown, 4), torch.zeros(2, 4, 1, 16, 16))
    assert torch.equal(RepeatLast().build(TINY)(shown, 4), shown[:, -1:].repeat(1, 4, 1, 1, 1))


def test_advection_is_the_optical_flow_where_frames_are_large_enough() -> None:
    pytest.importorskip("cv2")
    assert Advection().build(TINY) is flow.flow
    with pytest.raises(RequestError, match=r"at least 12 pixels each way; these are 16x8"):
        Advection().build(Shape(1, 16, 8, 3, 3))


def test_without_opencv_advection_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"needs OpenCV .*pip install 'ablation-harness\[flow\]'"):
        Advection().build(TINY)


@dataclass(frozen=True, kw_only=True)
class Half(Untrained):
    """Says nothing of how it predicts."""

    name: ClassVar[str] = "half"


def test_a_predictor_without_a_build_is_named() -> None:
    with pytest.raises(NotImplementedError, match=r"the predictor Half has no build\(shape\)"):
        Half().build(TINY)
