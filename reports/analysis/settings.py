"""The settings that reports know by name. Every other setting is only compared and printed.

`records.settings_of` says how settings are read. A path that a record lacks reads as None: other components have others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness import experiment
from harness.experiment import BUDGETS
from reports.analysis.words import compact, number, percent

Settings = Mapping[str, Any]

SEED = "training.seed"
STEPS, SECONDS, BATCH = "training.steps", "training.seconds", "training.batch_size"
RATE, PRECISION, TEST_SEQUENCES = "training.optimizer.lr", "training.precision", "data.test_sequences"
BUDGET = frozenset(f"training.{name}" for name in BUDGETS)
FILES = frozenset({"data.path", "data.evaluation"})
"""Where data lie; what they hold is in the identity and the test digest."""
RATES = {
    "max lr": RATE,
    "pct_start": "training.schedule.pct_start",
    "weight decay": "training.optimizer.weight_decay",
    "batch": BATCH,
}
NEUTRAL = {path: compact(value) for path, value in experiment.NEUTRAL.items()}
"""As `harness.experiment.NEUTRAL`, as JSON text."""
FRAMES = ("data.input_frames", "data.horizon")
LOSS = "loss."
WEIGHT, START, RAMP = ".weight", ".start", ".ramp"
MSE, SSIM = f"{LOSS}mse", f"{LOSS}ssim"
ARTICLE_LOSSES: dict[str, dict[str, str]] = {
    "MSE": {MSE: "1", SSIM: "none"},
    "SSIM": {MSE: "none", SSIM: "1", f"{SSIM}{START}": "0", f"{SSIM}{RAMP}": "0"},
    "MSE + SSIM": {MSE: "0.7", SSIM: "0.3"},
}
"""The rows of the article's loss table, and the settings of each."""


def budget_words(settings: Settings) -> str:
    """'800 steps', '600 s of training'."""
    seconds = settings.get(SECONDS)
    return f"{number(settings.get(STEPS))} steps" if seconds is None else f"{number(seconds)} s of training"


def rate_words(settings: Settings) -> str:
    """'max lr 0.005, pct_start 0.15, weight decay 1e-05, batch 8'."""
    return ", ".join(f"{words} {number(settings.get(path))}" for words, path in RATES.items())


def loss_words(settings: Settings) -> str:
    """'0.7 MSE + 0.3 (1 - SSIM); SSIM off for the first 20% of training, then rising over 40%'. Names every term that there is."""
    known = {"mse": "MSE", "ssim": "(1 - SSIM)", "mae": "MAE"}
    terms = _terms(settings)
    text = " + ".join(f"{number(settings[f'{LOSS}{term}{WEIGHT}'])} {known.get(term, term)}" for term in terms)
    for term in terms:
        start, ramp = (settings.get(f"{LOSS}{term}{end}") for end in (START, RAMP))
        if start or ramp:
            name = known.get(term, term).strip("()1 -")
            text += f"; {name} off for the first {percent(start)} of training, then rising over {percent(ramp)}"
    others = [path for path in settings if is_loss([path]) and not path.endswith((WEIGHT, START, RAMP))]
    return (text or "no loss recorded") + "".join(f"; {path} {number(settings[path])}" for path in others)


def _terms(settings: Settings) -> list[str]:
    paths = [path for path in settings if is_loss([path]) and path.endswith(WEIGHT) and settings[path]]
    order = {"mse": 0, "ssim": 1}
    return sorted(
        (path.removeprefix(LOSS).removesuffix(WEIGHT) for path in paths), key=lambda term: (order.get(term, 2), term)
    )


def loss_kind(settings: Settings) -> str:
    """Which row of the article's loss table a loss belongs to: a key of `ARTICLE_LOSSES` or 'other'."""
    return {("mse",): "MSE", ("ssim",): "SSIM", ("mse", "ssim"): "MSE + SSIM"}.get(tuple(_terms(settings)), "other")


def is_loss(paths: Collection[str]) -> bool:
    """Whether all paths are settings of the loss."""
    return all(f"{path}.".startswith(LOSS) for path in paths)


def is_rate(paths: Collection[str], pair: Sequence[Settings]) -> bool:
    """Whether two experiments differ in their learning rate and what goes with it alone; `paths` are where they differ.

    Other batches may take other steps, if they see as many sequences.
    """
    if not paths or not set(paths) <= {*RATES.values(), STEPS}:
        return False
    if STEPS not in paths:
        return True
    try:
        a, b = ((int(one[STEPS]), int(one[BATCH])) for one in pair)
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    return abs(a[0] * a[1] - b[0] * b[1]) < max(a[1], b[1])
