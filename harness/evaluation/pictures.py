"""Pictures of frames: a sheet of labelled rows (PNG), or an animation of labelled panels (GIF). No torch in here.

Letters in names: T frames, C channels, H height, W width.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Frames = NDArray[np.float32]
"""(T, C, H, W) in [0, 1]."""
Pixels = NDArray[np.uint8]
"""(T, H, W, 3)."""

SIDE = 64
"""Frames are enlarged by a whole factor to about this side, pixels."""
_GAP = 3
_TEXT = 13
_LINE = (200, 200, 200)
_WAITING = 128
"""The grey of a panel that has no frame yet, and of values that are not finite."""
_MILLISECONDS = 250


def strip(shown: Frames, truth: Frames, predictions: Mapping[str, Frames]) -> bytes:
    """A PNG: rows of the last input frames, the truth, and each prediction with its difference from the truth.

    Args:
        shown: the input frames.
        truth: the frames to predict.
        predictions: name -> predicted frames, as many as `truth` has.
    """
    rows = {"last input frames": _rgb(shown[-len(truth) :]), "truth": _rgb(truth)}
    pairs = [(name, _rgb(frames), difference(truth, frames)) for name, frames in predictions.items()]
    labelled = [*rows.items(), *(row for name, a, b in pairs for row in ((name, a), ("   difference", b)))]
    return _encode([_sheet(labelled)], "PNG")


def animation(shown: Frames, truth: Frames, predictions: Mapping[str, Frames], *, differences: bool = False) -> bytes:
    """A GIF of truth and predictions side by side: the input in every panel, then what each predicts.

    `differences` adds a panel for each prediction minus the truth, grey while the input is shown.
    """
    before, after = _rgb(shown), _rgb(truth)
    panels = {"truth": after} | {name: _rgb(frames) for name, frames in predictions.items()}
    deltas = {f"{name} - truth": difference(truth, frames) for name, frames in predictions.items()} if differences else {}
    grey = np.full_like(after[0], _WAITING)
    images = [
        _labelled([(name, grey if name in deltas else frame) for name in panels | deltas], "input") for frame in before
    ]
    for step in range(len(after)):
        images.append(_labelled([(name, panel[step]) for name, panel in (panels | deltas).items()], f"frame {step + 1}"))
    return _encode(images, "GIF")


def forecast(shown: Frames, predicted: Frames) -> bytes:
    """A GIF of the input frames, then of what is predicted."""
    images = [_labelled([("", frame)], "input") for frame in _rgb(shown)]
    images += [_labelled([("", frame)], f"forecast {step}") for step, frame in enumerate(_rgb(predicted), 1)]
    return _encode(images, "GIF")


def difference(truth: Frames, prediction: Frames) -> Pixels:
    """Prediction minus truth as colours: white where equal, blue where too dark, red where too bright, grey where not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        delta = (prediction - truth).mean(axis=1)
    delta = np.where(np.isfinite(delta), delta, np.nan)
    high, low = np.clip(delta, 0, 1), np.clip(-delta, 0, 1)
    return _pixels(np.stack([1 - low, 1 - high - low, 1 - high], axis=-1))


def _rgb(frames_TCHW: Frames) -> Pixels:
    grey = frames_TCHW.shape[1] != 3
    with np.errstate(invalid="ignore", over="ignore"):
        channels = frames_TCHW.mean(axis=1, keepdims=True).repeat(3, axis=1) if grey else frames_TCHW
    return _pixels(channels.transpose(0, 2, 3, 1))


def _pixels(frames_THWC: NDArray[np.float32]) -> Pixels:
    """Values in [0, 1] as enlarged bytes; what is not finite is grey, what lies outside is cut off."""
    known = np.where(np.isfinite(frames_THWC), frames_THWC, _WAITING / 255)
    return _enlarged((np.clip(known, 0, 1) * 255).round().astype(np.uint8))


def _enlarged(frames_THWC: Pixels) -> Pixels:
    factor = max(1, round(SIDE / max(frames_THWC.shape[1:3])))
    return frames_THWC.repeat(factor, axis=1).repeat(factor, axis=2)


def _sheet(rows: Sequence[tuple[str, Pixels]]) -> Image.Image:
    height, width = rows[0][1].shape[1:3]
    font = _font()
    margin = int(max(font.getlength(name) for name, _ in rows)) + 10
    columns = max(len(frames) for _, frames in rows)
    top = _TEXT + 6
    size = (margin + columns * (width + _GAP), top + len(rows) * (height + _GAP))
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((4, top - 4), "frame", "black", font, anchor="ls")
    for column in range(columns):
        pen.text((margin + column * (width + _GAP) + width // 2, top - 4), str(column + 1), "black", font, anchor="ms")
    for row, (name, frames) in enumerate(rows):
        y = top + row * (height + _GAP)
        pen.text((4, y + height // 2), name, "black", font, anchor="lm")
        for column, frame in enumerate(frames):
            _paste(sheet, pen, frame, margin + column * (width + _GAP), y)
    return sheet


def _labelled(panels: Sequence[tuple[str, NDArray[np.uint8]]], when: str) -> Image.Image:
    font = _font()
    height, width = panels[0][1].shape[:2]
    step = max(width, *(int(font.getlength(name)) for name, _ in panels)) + 8
    sheet = Image.new("RGB", (step * len(panels) + 4, height + 2 * (_TEXT + 8)), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((4, _TEXT + 2), when, "black", font, anchor="ls")
    for index, (name, frame) in enumerate(panels):
        x = index * step + 4 + (step - width) // 2
        _paste(sheet, pen, frame, x, _TEXT + 6)
        pen.text((x + width // 2, height + 2 * _TEXT + 8), name, "black", font, anchor="ms")
    return sheet


def _paste(sheet: Image.Image, pen: ImageDraw.ImageDraw, frame: NDArray[np.uint8], x: int, y: int) -> None:
    """A frame with a thin line around it."""
    sheet.paste(Image.fromarray(frame), (x, y))
    pen.rectangle((x - 1, y - 1, x + frame.shape[1], y + frame.shape[0]), outline=_LINE)


def _font() -> Any:
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", _TEXT)


def _encode(images: Sequence[Image.Image], kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "GIF":
        first, *rest = (image.quantize(64) for image in images)
        first.save(buffer, "GIF", save_all=True, append_images=rest, duration=_MILLISECONDS, loop=0)
    else:
        images[0].save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
