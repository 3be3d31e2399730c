"""Pictures hold every frame that they were given, in colours that say what they claim."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from harness.evaluation import pictures

RNG = np.random.default_rng(0)


def frames(count: int, channels: int = 1, side: int = 16) -> pictures.Frames:
    return RNG.random((count, channels, side, side), dtype=np.float32)


def test_differences_are_white_where_equal_blue_where_dark_and_red_where_bright() -> None:
    truth = np.full((1, 1, 64, 64), 0.5, np.float32)
    prediction = truth.copy()
    prediction[0, 0, 0, 0], prediction[0, 0, 0, 1] = 0, 1
    (found,) = pictures.difference(truth, prediction)
    assert found[0, 0].tolist() == [128, 128, 255]
    assert found[0, 1].tolist() == [255, 128, 128]
    assert (found[1:] == 255).all()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_values_that_are_not_finite_are_grey_and_warn_of_nothing(channels: int) -> None:
    truth = np.full((2, channels, 64, 64), 0.5, np.float32)
    broken = truth.copy()
    broken[0, :, 0, 0], broken[0, :, 0, 1], broken[0, 0, 0, 2] = np.nan, np.inf, -np.inf
    broken[1] = 3e38  # warnings are errors in the tests: neither sums nor casts may overflow
    assert (pictures.difference(truth, broken)[0, 0, :3] == 128).all()
    assert (pictures.difference(truth, truth) == 255).all()
    pictures.strip(truth, truth, {"broken": broken})
    pictures.animation(truth, truth, {"broken": broken}, differences=True)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_strip_has_a_row_for_input_and_truth_and_two_for_each_prediction(channels: int) -> None:
    heights = []
    for names in (("a",), ("a", "b")):
        content = pictures.strip(frames(5, channels), frames(3, channels), {name: frames(3, channels) for name in names})
        with Image.open(io.BytesIO(content)) as image:
            assert image.width > 3 * pictures.SIDE
            heights.append(image.height)
    assert heights[1] - heights[0] == 2 * (pictures.SIDE + 3)
    assert heights[0] > 4 * pictures.SIDE


def test_an_animation_shows_the_input_in_every_panel_and_then_the_prediction() -> None:
    shown = np.stack([np.full((1, 8, 8), 0.2), np.full((1, 8, 8), 0.6)]).astype(np.float32)
    truth, zeros = np.ones((3, 1, 8, 8), np.float32), np.zeros((3, 1, 8, 8), np.float32)
    bright = {}  # of truth, prediction and their difference: the brightness in the middle of each panel, frame by frame
    for differences, panels in ((False, 2), (True, 3)):
        content = pictures.animation(shown, truth, {"prediction": zeros}, differences=differences)
        with Image.open(io.BytesIO(content)) as image:
            rows = []
            for index in range(image.n_frames):
                image.seek(index)
                sheet = np.asarray(image.convert("RGB"))
                middles = [int((panel + 0.5) * (image.width - 4) / panels) + 4 for panel in range(panels)]
                rows.append([sheet[image.height // 2, x].tolist() for x in middles])
            bright[panels] = rows
    one, two, white, black, grey, blue = [51] * 3, [153] * 3, [255] * 3, [0] * 3, [128] * 3, [0, 0, 255]
    assert bright[2] == [[one, one], [two, two], *[[white, black]] * 3]
    assert bright[3] == [[one, one, grey], [two, two, grey], *[[white, black, blue]] * 3]


def test_drawing_does_not_import_torch() -> None:
    code = "import sys, harness.evaluation.pictures; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
