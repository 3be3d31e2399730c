"""The same test sequences for every variant: truth, prediction and difference, predicted anew from the checkpoints.

torch is imported here alone, and only when a checkpoint is there.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.store import Run, Store, Training
from harness.variant import Variants
from reports.analysis import Group, Method
from reports.page import Picture
from reports.plots import chosen, label
from reports.records import sequence_scores

if TYPE_CHECKING:
    from PIL import Image

MOST_METHODS = 8
"""Rows of predictions in a picture."""
MOST_FRAMES = 20
"""Columns in a picture: predicted frames beyond this are left out."""
SIDE = 64
"""Frames are drawn about this large, pixels."""
GAP = 3
_BATCH = 20
"""Test sequences read at once on the way to the chosen ones."""
_TEXT = 13
_RULE = {
    "best": "the sequence on which base scores best",
    "median": "the sequence on which base scores in the middle",
    "worst": "the sequence on which base scores worst",
}

Frames = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Chosen:
    """A test sequence and why it is shown; `ssim` is base's, the mean over seeds."""

    rule: str
    index: int
    ssim: float


def choose(store: Store, group: Group) -> list[Chosen]:
    """Best, median and worst test sequence by base's SSIM, the mean over its seeds. Ties go to the lower number."""
    if group.reference is None:
        return []
    scores = [sequence_scores(store, run) for run in group.reference.runs.values()]
    usable = [one for one in scores if len(one)]
    if not usable or len({len(one) for one in usable}) > 1:
        return []
    mean = np.mean(np.stack(usable), axis=0)
    order = [int(index) for index in np.argsort(-mean, kind="stable") if math.isfinite(mean[index])]
    if not order:
        return []
    picks = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    found: dict[int, Chosen] = {}
    for rule, index in picks.items():
        found.setdefault(index, Chosen(rule, index, float(mean[index])))
    return list(found.values())


def draw(store: Store, group: Group, variants: Variants) -> tuple[list[Picture], list[str]]:
    """The pictures of a group, and what keeps some of them from being drawn, in words."""
    picks = choose(store, group)
    if not picks:
        return [], ["base has no scores of single sequences, so no sequence can be chosen by rule."]
    methods = chosen(group, MOST_METHODS)
    notes: list[str] = []
    ready = []
    for method in methods:
        if _has_checkpoint(store, method):
            ready.append(method)
        else:
            notes.append(f"{label(method.label)}: its checkpoint is not in this store.")
    if not ready:
        return [], ["No checkpoint of these runs is in the store, so nothing can be predicted; the tables do not need them."]
    predictions: dict[str, dict[int, Frames]] = {}
    truth: dict[int, Frames] = {}
    shown = 0
    predictor = _Predictor(store, variants, [pick.index for pick in picks])
    for method in ready:
        try:
            shown, frames, predictions[method.label] = predictor.predict(method)
            truth = truth or frames
        except (HarnessError, FileNotFoundError, KeyError, ValueError, RuntimeError) as error:
            predictions.pop(method.label, None)
            notes.append(f"{label(method.label)}: {' '.join(str(error).split())[:300]}")
    rows = [method for method in ready if method.label in predictions]
    if not rows:
        return [], notes
    pictures = []
    for pick in picks:
        by_method = {method.label: predictions[method.label][pick.index] for method in rows}
        pictures.append(_strip(pick, shown, truth[pick.index], by_method))
    middle = picks[len(picks) // 2]
    by_method = {method.label: predictions[method.label][middle.index] for method in rows}
    pictures.append(_animation(middle, shown, truth[middle.index], by_method))
    return pictures, notes


def _has_checkpoint(store: Store, method: Method) -> bool:
    return any(Training(store.root / "trainings" / method.first.training_key).path.glob("best-*.safetensors"))


class _Predictor:
    """Opens the test data once for all methods that share it, and predicts the chosen sequences."""

    def __init__(self, store: Store, variants: Variants, indices: Sequence[int]) -> None:
        self.store, self.components, self.indices = store, variants.components, indices
        self._source: Any = None
        self._sequences: dict[int, Any] = {}

    def predict(self, method: Method) -> tuple[int, dict[int, Frames], dict[int, Frames]]:
        """Frames shown, whole sequences, and predictions of the method's lowest seed, (T, C, H, W) in [0, 1]."""
        import torch

        from harness.data.source import open_source
        from harness.evaluation.views import predict
        from harness.runs.outcome import stored_experiment
        from harness.system.devices import autocast, choose_device, resolve_precision
        from harness.training.checkpoint import load_model

        run = Run(self.store.root / "runs" / method.first.run_id)
        experiment = stored_experiment(self.store, run, self.components.find)
        training = self.store.training_of(run)
        checkpoint = training.check(training.read("training.json"))
        device = torch.device(choose_device("auto"))
        resolve_precision(experiment.training.precision, str(device))  # refuses a precision that this device lacks
        if self._source is None or self._source.data != experiment.data:
            self._source = open_source(experiment.data)
            self._sequences = {}
        if dict(self._source.identity) != method.first.identity:
            raise HarnessError("the digits or frames that it was tested on are not at hand; name them with HARNESS_DIGITS")
        if not self._sequences:
            self._sequences = self._read(device)
        model = load_model(experiment, self._source.shape, checkpoint, device)
        shown = experiment.data.input_frames
        predicted = {}
        for index in self.indices:
            with torch.no_grad(), autocast(experiment.training.precision, device):
                inputs = self._sequences[index][None, :shown]
                predicted[index] = _array(predict(model, inputs, experiment.data.horizon, experiment.inference.views)[0])
        return shown, {index: _array(self._sequences[index]) for index in self.indices}, predicted

    def _read(self, device: Any) -> dict[int, Any]:
        found: dict[int, Any] = {}
        first = 0
        for frames in self._source.test(_BATCH, device):
            found |= {index: frames[index - first].clone() for index in self.indices if first <= index < first + len(frames)}
            first += len(frames)
            if len(found) == len(self.indices):
                return found
        raise HarnessError("the test set has fewer sequences than were scored")


def _array(tensor: Any) -> Frames:
    found: Frames = tensor.detach().float().clamp(0, 1).cpu().numpy()
    return found


# --- drawing


def _strip(pick: Chosen, shown: int, frames: Frames, predictions: dict[str, Frames]) -> Picture:
    """One row of truth, then prediction and difference for every method; predicted frames from left to right."""
    truth = frames[shown:][:MOST_FRAMES]
    rows: list[tuple[str, list[npt.NDArray[np.uint8]]]] = [
        ("last input frames", list(_rgb(frames[:shown][-len(truth) :]))),
        ("truth", list(_rgb(truth))),
    ]
    for name, prediction in predictions.items():
        part = prediction[:MOST_FRAMES]
        rows.append((label(name), list(_rgb(part))))
        rows.append(("   difference", list(_difference(truth, part))))
    content = _encode([_sheet(rows)], "PNG")
    cut = " The first frames are shown." if len(frames) - shown > len(truth) else ""
    return Picture(
        f"sequence-{pick.rule}",
        f"Test sequence {pick.index}: {pick.rule}",
        f"Chosen by rule: {_RULE[pick.rule]} (SSIM {pick.ssim:.4f}, mean over its seeds). Rows: the last input frames, the "
        f"truth, and for each method the prediction of its lowest seed and the difference (blue: too dark, red: too bright)."
        f"{cut}",
        f"Frames of test sequence {pick.index}, the {pick.rule} by base's SSIM: truth, then prediction and difference of "
        f"{', '.join(label(name) for name in predictions)}.",
        "image/png",
        content,
    )


def _animation(pick: Chosen, shown: int, frames: Frames, predictions: dict[str, Frames]) -> Picture:
    truth = _rgb(frames)
    panels = {"truth": truth, **{label(name, 14): _rgb(prediction) for name, prediction in predictions.items()}}
    images = []
    for step in range(len(truth)):
        row = []
        for index, (name, panel) in enumerate(panels.items()):
            waiting = index > 0 and step < shown
            frame = np.full_like(truth[0], 128) if waiting else panel[step - (shown if index else 0)]
            row.append((name, frame))
        images.append(_labelled(row, "input" if step < shown else f"frame {step - shown + 1}"))
    return Picture(
        "animation",
        f"Test sequence {pick.index}, moving",
        f"The {pick.rule} sequence of the pictures above: input frames, then what each method predicts (its lowest seed), beside "
        "the truth.",
        f"Animation of test sequence {pick.index}: the truth beside the predictions of "
        f"{', '.join(label(name) for name in predictions)}.",
        "image/gif",
        _encode(images, "GIF"),
    )


def _difference(truth: Frames, prediction: Frames) -> npt.NDArray[np.uint8]:
    """Prediction minus truth: white where equal, blue where too dark, red where too bright."""
    delta = (prediction - truth).mean(axis=1)
    high, low = np.clip(delta, 0, 1), np.clip(-delta, 0, 1)
    colours = np.stack([1 - low, 1 - high - low, 1 - high], axis=-1)
    return _enlarged((colours * 255).round().astype(np.uint8))


def _rgb(frames_TCHW: Frames) -> npt.NDArray[np.uint8]:
    grey = frames_TCHW.shape[1] != 3
    channels = frames_TCHW.mean(axis=1, keepdims=True).repeat(3, axis=1) if grey else frames_TCHW
    return _enlarged((channels.transpose(0, 2, 3, 1) * 255).round().astype(np.uint8))


def _enlarged(frames_THWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    factor = max(1, round(SIDE / max(frames_THWC.shape[1:3])))
    return frames_THWC.repeat(factor, axis=1).repeat(factor, axis=2)


def _sheet(rows: Sequence[tuple[str, Sequence[npt.NDArray[np.uint8]]]]) -> Image.Image:
    from PIL import Image, ImageDraw

    height, width = rows[0][1][0].shape[:2]
    font = _font()
    margin = int(max(font.getlength(name) for name, _ in rows)) + 10
    columns = max(len(frames) for _, frames in rows)
    top = _TEXT + 6
    size = (margin + columns * (width + GAP), top + len(rows) * (height + GAP))
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((4, top - 4), "frame", "black", font, anchor="ls")
    for column in range(columns):
        pen.text((margin + column * (width + GAP) + width // 2, top - 4), str(column + 1), "black", font, anchor="ms")
    for row, (name, frames) in enumerate(rows):
        y = top + row * (height + GAP)
        pen.text((4, y + height // 2), name, "black", font, anchor="lm")
        for column, frame in enumerate(frames):
            x = margin + column * (width + GAP)
            sheet.paste(Image.fromarray(frame), (x, y))
            pen.rectangle((x - 1, y - 1, x + width, y + height), outline=(200, 200, 200))
    return sheet


def _labelled(panels: Sequence[tuple[str, npt.NDArray[np.uint8]]], when: str) -> Image.Image:
    from PIL import Image, ImageDraw

    font = _font()
    height, width = panels[0][1].shape[:2]
    step = max(width, *(int(font.getlength(name)) for name, _ in panels)) + 8
    sheet = Image.new("RGB", (step * len(panels) + 4, height + 2 * (_TEXT + 8)), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((4, _TEXT + 2), when, "black", font, anchor="ls")
    for index, (name, frame) in enumerate(panels):
        x = index * step + 4 + (step - width) // 2
        sheet.paste(Image.fromarray(frame), (x, _TEXT + 6))
        pen.rectangle((x - 1, _TEXT + 5, x + width, _TEXT + 6 + height), outline=(200, 200, 200))
        pen.text((x + width // 2, height + 2 * _TEXT + 8), name, "black", font, anchor="ms")
    return sheet


def _font() -> Any:
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", _TEXT)


def _encode(images: Sequence[Image.Image], kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "GIF":
        palettes = [image.quantize(64) for image in images]
        palettes[0].save(buffer, "GIF", save_all=True, append_images=palettes[1:], duration=250, loop=0)
    else:
        images[0].save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
