"""Arms whose verdict is known: a regime that cannot tell them from base, or sees a gain where none is, says nothing of others."""

from __future__ import annotations

from harness.ablation.plan import REFERENCE
from harness.errors import RequestError
from harness.experiment import Experiment

NULL, HANDICAP, HELP = "null", "handicap", "help"
EXPECTED = {NULL: "equivalent", HANDICAP: "hurts", HELP: "helps"}
"""What each control must turn out to be; a null that is undecided passes too, for it was not called."""


def controls(base: Experiment) -> dict[str, str]:
    """The composition of each control: other training sequences for the same initialisation, half the budget, twice the budget.

    Args:
        base: as the plan's reference trains.

    >>> from harness.presets import preset
    >>> controls(preset("tiny"))["handicap"]
    'base(training.steps=3)'
    """
    training = base.training
    half: float
    twice: float
    if training.steps is not None and training.steps > 1:
        name, half, twice = "steps", training.steps // 2, training.steps * 2
    elif training.seconds is not None:
        name, half, twice = "seconds", training.seconds / 2, training.seconds * 2
    elif training.epochs is not None:
        name, half, twice = "epochs", training.epochs / 2, training.epochs * 2
    else:
        raise RequestError(
            "--controls needs a budget that can be halved: set training.steps (2 or more), .seconds or .epochs"
        )
    return {
        NULL: f"{REFERENCE}(training.data_order={training.data_order + 1})",
        HANDICAP: f"{REFERENCE}(training.{name}={half})",
        HELP: f"{REFERENCE}(training.{name}={twice})",
    }
