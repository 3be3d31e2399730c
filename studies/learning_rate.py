"""How fast to learn: peak rate, its place in the schedule, weight decay and batch size, at an equal number of sequences."""

from __future__ import annotations

from collections.abc import Mapping

from harness.experiment import Experiment
from harness.studies import Arm, Float, Int, Options, Params, Space, Study

PATHS = {
    "max_lr": "training.optimizer.lr",
    "pct_start": "training.schedule.pct_start",
    "weight_decay": "training.optimizer.weight_decay",
}
"""The config paths of the searched parameters."""


def space(experiment: Experiment, options: Options) -> Space:
    """Around the experiment's own batch size: a quarter of it to four times as much."""
    batch = experiment.training.batch_size
    return {
        "max_lr": Float(low=3e-4, high=3e-2, log=True),
        "pct_start": Float(low=0.05, high=0.5),
        "weight_decay": Float(low=1e-6, high=1e-1, log=True),
        "batch_size": Int(low=max(1, batch // 4), high=max(2, batch * 4), log=True),
    }


def to_settings(params: Params, experiment: Experiment) -> Mapping[str, object]:
    """The settings, with the steps and the validations' distance scaled so that every trial sees as many sequences.

    steps = reference steps * reference batch size / batch size, rounded; so a large batch does not win by seeing more, and
    every trial chooses its checkpoint among as many validations. A budget in seconds is left as it is: there every trial
    has as much time.
    """
    training, batch = experiment.training, int(params["batch_size"])
    ratio = training.batch_size / batch
    found: dict[str, object] = {path: params[name] for name, path in PATHS.items()}
    found |= {"training.batch_size": batch, "training.validate_every": max(1, round(training.validate_every * ratio))}
    if training.steps is not None:
        found["training.steps"] = max(1, round(training.steps * ratio))
    return found


def arms(experiment: Experiment, options: Options) -> tuple[Arm, ...]:
    """The recipe that the experiment has anyway, and the article's where it is another."""
    training, limits = experiment.training, space(experiment, options)
    own: dict[str, float | int] = {
        "max_lr": training.optimizer.lr,
        "pct_start": training.schedule.pct_start,
        "weight_decay": training.optimizer.weight_decay,
        "batch_size": training.batch_size,
    }
    article = {"max_lr": 3e-3, "pct_start": 0.3, "weight_decay": 1e-5, "batch_size": training.batch_size}
    found = [Arm(name="the article's recipe", params=article, reference=True, note="at the preset's batch size")]
    if own != article and all(limits[name].holds(value) for name, value in own.items()):
        found.append(Arm(name="the preset's recipe", params=own))
    return tuple(found)


STUDY = Study(
    name="learning-rate",
    summary="peak learning rate, its place in the schedule, weight decay and batch size, at an equal number of sequences",
    owns=(*PATHS.values(), "training.batch_size"),
    space=space,
    to_settings=to_settings,
    arms=arms,
)
