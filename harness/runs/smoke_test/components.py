"""Data, metrics, functions of the budget and terms of the loss, each asked by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.errors import RequestError
from harness.notation import shown
from harness.runs.blame import calling, who
from harness.runs.smoke_test.checks import Setup, check_frames, described, finite_number, same_twice
from harness.system.seeds import derived_seed
from harness.training.schedules import NOMINAL_TOTAL


def draw_a_batch(setup: Setup) -> Tensor:
    """A validation sequence, what each augmentation makes of it, and a training batch."""
    data, seed = setup.experiment.data, setup.training.seed
    wanted = (setup.size, setup.shown + setup.horizon, setup.source.channels, setup.source.height, setup.source.width)
    with calling(setup.experiment, data, "its validation sequences"):
        held_out = setup.filled(next(iter(setup.source.validation(1, "cpu"))))
    check_frames(data, "a batch of its validation sequences", held_out, (1, *wanted[1:]))
    for one in getattr(data, "augment", ()):
        given = held_out[:, : setup.shown] if one.inputs_only else held_out
        _try_augmentation(setup, one, given.repeat(setup.size, 1, 1, 1, 1))
    frames: Tensor = same_twice(
        setup.experiment,
        data,
        "its training batch",
        lambda: setup.source.train_batch(seed, 0, setup.size, setup.horizon, "cpu"),
    )
    check_frames(data, "its training batch", setup.filled(frames), wanted)
    return frames


def _try_augmentation(setup: Setup, one: Any, frames: Tensor) -> None:
    def apply() -> Tensor:
        given = frames.clone()
        made: Tensor = one.apply(given, torch.Generator().manual_seed(derived_seed(0, one.name)))
        if not torch.equal(given, frames):
            raise RequestError(f"{who(one)}: apply changed the frames that it was given; wanted: a tensor of its own")
        return made

    made = same_twice(setup.experiment, one, "apply", apply)
    check_frames(one, "apply", made, tuple(frames.shape))
    low, high = float(made.min()), float(made.max())
    if frames.min() >= 0 and frames.max() <= 1 and not 0 <= low <= high <= 1:
        raise RequestError(f"{who(one)}: apply gave intensities of {low:g} to {high:g}; wanted: 0 to 1")


def measure(setup: Setup, frames: Tensor) -> None:
    """Each metric beside the built-in ones, on frames without a missing value."""
    target = setup.filled(frames)[:, setup.shown :]
    prediction, wanted = (0.9 * target + 0.05).clamp(0, 1), (len(target), setup.horizon)
    for one in (metric.on(setup.source.values) for metric in setup.experiment.metrics):
        found = same_twice(setup.experiment, one, "counts", lambda: one.counts(prediction.clone(), target.clone()))  # noqa: B023  # called at once
        right = isinstance(found, Tensor) and found.ndim == 3 and tuple(found.shape[:2]) == wanted
        if not right or found.dtype != torch.float64:
            shape = f"({wanted[0]}, {wanted[1]}, counts)"
            raise RequestError(f"{who(one)}: counts gave {described(found)}; wanted: a float64 tensor of shape {shape}")
        if not found.isfinite().all():
            raise RequestError(f"{who(one)}: counts of finite frames are not finite; wanted: finite numbers")
        value = same_twice(setup.experiment, one, "finish", lambda: one.finish(found.sum((0, 1)).tolist()))  # noqa: B023  # called at once
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RequestError(f"{who(one)}: finish gave {described(value)}; wanted: a number")


def look(setup: Setup, frames: Tensor) -> None:
    """Each view of the input, there and back."""
    frames = setup.filled(frames)
    for view in setup.experiment.inference.views:
        square = frames.shape[-1] == frames.shape[-2] or not view.swaps_axes
        if not square:
            continue  # refused with its reason when a sequence is predicted
        shown = same_twice(setup.experiment, view, "forward", lambda: view.forward(frames.clone()))  # noqa: B023  # called at once
        if not isinstance(shown, Tensor) or shown.ndim != frames.ndim or shown.dtype != torch.float32:
            raise RequestError(f"{who(view)}: forward gave {described(shown)}; wanted: float32 frames (B, T, C, H, W)")
        check_frames(view, "forward", shown, tuple(shown.shape))
        back = same_twice(setup.experiment, view, "inverse", lambda: view.inverse(shown))  # noqa: B023  # called at once
        check_frames(view, "inverse", back, tuple(frames.shape))


def predict_untrained(setup: Setup, frames: Tensor) -> None:
    """A prediction of what takes the network's place."""
    predictor, inputs = setup.experiment.inference.predictor, setup.filled(frames)[:, : setup.shown]
    with calling(setup.experiment, predictor, "build"):
        predict = predictor.build(setup.source.shape)
    if not callable(predict):
        raise RequestError(f"{who(predictor)}: build gave {described(predict)}; wanted: a function of (inputs, horizon)")
    with calling(setup.experiment, predictor, "a prediction", may_draw=True):
        prediction = predict(inputs.clone(), setup.horizon)
    check_frames(predictor, "a prediction", prediction, (len(inputs), setup.horizon, *inputs.shape[2:]))


def ask_functions(setup: Setup) -> None:
    """Curriculum, schedule and feeding at the beginning, in the middle and at the end of the budget."""
    curriculum, schedule, feeding = setup.training.curriculum, setup.training.schedule, setup.training.feeding
    total = float(setup.training.steps or NOMINAL_TOTAL)
    for share in (0.0, 0.5, 1.0):
        if curriculum is not None:
            horizon = same_twice(setup.experiment, curriculum, "horizon", lambda: curriculum.horizon(share, setup.horizon))  # noqa: B023  # called at once
            if isinstance(horizon, bool) or not isinstance(horizon, int) or not 1 <= horizon <= setup.horizon:
                raise RequestError(
                    f"{who(curriculum)}: horizon({share}, {setup.horizon}) gave {shown(horizon)}; wanted: a whole number of "
                    f"frames, 1 to {setup.horizon}"
                )
        values = same_twice(setup.experiment, schedule, "values", lambda: schedule.values(share * (total - 1), total, 1.0))  # noqa: B023  # called at once
        if not isinstance(values, Mapping) or not all(map(finite_number, values.values())):
            raise RequestError(
                f"{who(schedule)}: values gave {shown(values)}; wanted: finite numbers by name, such as {{'lr': 0.001}}"
            )
    if feeding is not None:
        used = same_twice(setup.experiment, feeding, "draw", setup.draw_feeding)
        wanted = (setup.size, setup.shown + setup.horizon - 1)
        if not isinstance(used, Tensor) or used.dtype != torch.bool or tuple(used.shape) != wanted:
            raise RequestError(f"{who(feeding)}: draw gave {described(used)}; wanted: a bool tensor of shape {wanted}")


def compute_losses(setup: Setup, frames: Tensor) -> None:
    """Each term of the loss by itself, whatever its weight is now."""
    target = setup.filled(frames)[:, setup.shown :]
    for term in setup.experiment.loss:
        prediction = (0.9 * target + 0.05).requires_grad_()
        found = same_twice(setup.experiment, term, "compute", lambda: term.compute(prediction, target))  # noqa: B023  # called at once
        if not isinstance(found, Tensor) or found.ndim or not found.is_floating_point():
            raise RequestError(f"{who(term)}: compute gave {described(found)}; wanted: a tensor with one number, float32")
        if not found.isfinite():
            raise RequestError(f"{who(term)}: compute gave {float(found.detach())}; wanted: a finite number")
        if not found.requires_grad:
            raise RequestError(f"{who(term)}: compute gave a number without a gradient; wanted: one that trains the network")
