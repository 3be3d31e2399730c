"""The same test sequences for every variant: truth, prediction and difference, predicted again from the checkpoints.

torch is imported here alone, and only when a checkpoint is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.store import Run, Store, Training
from harness.variant import Variants
from reports.analysis.groups import Group, Method
from reports.analysis.reading import sequence_scores
from reports.analysis.words import label
from reports.figures.canvas import chosen
from reports.page import Picture

MOST_METHODS = 8
"""Rows of predictions in a picture."""
MOST_FRAMES = 20
"""Columns in a picture: predicted frames beyond this are left out."""
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
    there = {method.label: _drawable(store, method) for method in chosen(group, MOST_METHODS)}
    if not any(there.values()):
        return [], ["No checkpoint of these runs is in the store, so nothing can be predicted; the tables do not need them."]
    from harness.runs.sample import Sampler, as_array
    from harness.system.devices import choose_device

    made = {method.label for method in group.methods if method.first.scored}
    notes = [
        f"{label(name)}: its {'predictions were made elsewhere' if name in made else 'checkpoint is not in this store'}."
        for name, ready in there.items()
        if not ready
    ]
    predictions: dict[str, dict[int, Frames]] = {}
    truth: dict[int, Frames] = {}
    shown = 0
    sampler = Sampler(store, variants, [pick.index for pick in picks], choose_device("auto"))
    for method in group.methods:
        if not there.get(method.label):
            continue
        try:
            shown, frames, predicted = sampler.predict(Run(store.root / "runs" / method.first.run_id))
            predictions[label(method.label)] = {index: as_array(one) for index, one in predicted.items()}
            truth = truth or {index: as_array(one) for index, one in frames.items()}
        except (HarnessError, FileNotFoundError, KeyError, ValueError, RuntimeError) as error:
            notes.append(f"{label(method.label)}: {' '.join(str(error).split())[:300]}")
    if not predictions:
        return [], notes
    of = {pick.index: {name: by_index[pick.index] for name, by_index in predictions.items()} for pick in picks}
    pictures = [_strip(pick, shown, truth[pick.index], of[pick.index]) for pick in picks]
    middle = picks[len(picks) // 2]
    return [*pictures, _animation(middle, shown, truth[middle.index], of[middle.index])], notes


def _drawable(store: Store, method: Method) -> bool:
    """Whether its checkpoint is there, or it needs none."""
    if method.first.untrained:
        return not method.first.scored
    return any(one.startswith("best-") for one in Training(store.root / "trainings" / method.first.training_key).names())


def _strip(pick: Chosen, shown: int, frames: Frames, predictions: Mapping[str, Frames]) -> Picture:
    """One row of truth, then prediction and difference for every method; predicted frames from left to right."""
    from harness.evaluation import pictures

    truth = frames[shown:][:MOST_FRAMES]
    cut = " The first frames are shown." if len(frames) - shown > len(truth) else ""
    return Picture(
        f"sequence-{pick.rule}",
        f"Test sequence {pick.index}: {pick.rule}",
        f"Chosen by rule: {_RULE[pick.rule]} (SSIM {pick.ssim:.4f}, mean over its seeds). Rows: the last input frames, the "
        f"truth, and for each method the prediction of its lowest seed and the difference (blue: too dark, red: too bright)."
        f"{cut}",
        f"Frames of test sequence {pick.index}, the {pick.rule} by base's SSIM: truth, then prediction and difference of "
        f"{', '.join(predictions)}.",
        "image/png",
        pictures.strip(frames[:shown], truth, {name: one[:MOST_FRAMES] for name, one in predictions.items()}),
    )


def _animation(pick: Chosen, shown: int, frames: Frames, predictions: Mapping[str, Frames]) -> Picture:
    from harness.evaluation import pictures

    panels = {label(name, 14): one for name, one in predictions.items()}
    return Picture(
        "animation",
        f"Test sequence {pick.index}, moving",
        f"The {pick.rule} sequence of the pictures above: input frames, then what each method predicts (its lowest seed), beside "
        "the truth.",
        f"Animation of test sequence {pick.index}: the truth beside the predictions of {', '.join(predictions)}.",
        "image/gif",
        pictures.animation(frames[:shown], frames[shown:], panels),
    )
