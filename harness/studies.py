"""What a study is to the engine: a search space, fixed settings that are always tried, and an objective. Studies are plugins.

A package registers its own in the entry-point group `harness.studies`; `harness.tuning` runs them and knows none by name.

The record of a study, `<store>/studies/<id>.json`, is rewritten as trials end, so that reports need no Optuna storage:

    study, id, variant, preset     the study's name, its identity, the composition that is tuned, the preset
    options                        the study's own options that were switched on (--with)
    settings                       config and --set of the user, path -> text
    command                        the command line, without passwords
    storage                        the storage's URL without its password
    experiment                     the resolved experiment that trials start from (Experiment.to_dict)
    space                          parameter -> {kind: float|int|choice, low, high, log | options}
    owns                           the config paths that trials set
    objectives, directions         ["ssim"] and ["maximize"]; or ssim and seconds (minimize)
    seeds                          the seeds of every trial; its value is the mean over them
    sampler, pruner, wanted        names, and how many finished or pruned trials were asked for
    counts                         {complete, pruned, failed, running, waiting}
    trials                         [{number, state, arm, params, settings, value, values, seed_values, run_ids, error}],
                                   by number; state is Optuna's name (COMPLETE, PRUNED, FAIL, RUNNING, WAITING); a trial that
                                   was interrupted and queued again is listed once, under its last number. `params` are
                                   Optuna's parameters (the names of `space`), `settings` the config paths that the study made
                                   of them; {} when it could not. `value` is the first objective (of a pruned trial: so far);
                                   `values` has all of them; `seed_values` one a seed
    arms                           [{name, reference, note, params, ...the other fields of its trial, null when it has none}]
    best                           {number, params, settings, value, values, arm, config}, or null; with two objectives the
                                   one of the front with the highest SSIM. `config` is the TOML file that `run --config` takes
    front                          the numbers on the Pareto front (two objectives), else []
    confirm                        null, or {seeds, metric, rows: [{name, settings, run_ids, values, mean}],
                                   comparisons: [...], verdict}: test scores by seed, the chosen setting and the arms, and
                                   each against the reference arm (fields of the statistics plugin's comparison)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from harness.errors import RequestError
from harness.experiment import Experiment

Scalar = float | int | str | bool
Params = Mapping[str, Scalar]
Options = frozenset[str]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Float:
    """A real number in [low, high]; `log`: searched on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise RequestError(f"a range from {self.low} to {self.high} is empty or not finite")
        if self.log and self.low <= 0:
            raise RequestError(f"a logarithmic range starts above 0, not at {self.low}")

    def holds(self, value: object) -> bool:
        """Whether the value lies in the range."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": type(self).__name__.lower(), "low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True, kw_only=True)
class Int(Float):
    """A whole number in [low, high]."""

    low: int
    high: int
    log: bool = False

    def holds(self, value: object) -> bool:
        """Whether the value lies in the range."""
        return super().holds(value) and isinstance(value, int)


@dataclass(frozen=True)
class Choice:
    """One of several values, without an order."""

    options: tuple[Scalar, ...]

    def holds(self, value: object) -> bool:
        """Whether it is one of the options."""
        return value in self.options

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": "choice", "options": list(self.options)}


Parameter = Float | Int | Choice
Space = Mapping[str, Parameter]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A fixed setting that every study tries before it searches, and never prunes; `note` says what a reader should know.

    The reference arm is what `--confirm` compares the chosen setting with; the first one when none is marked.
    """

    name: str
    params: Params
    reference: bool = False
    note: str = ""


def validation_ssim(summary: Mapping[str, Any]) -> float | None:
    """The headline SSIM on the validation sequences, [0, 1], of a training's summary; None when none was finite."""
    value = summary["validation_ssim"]
    return None if value is None else float(value)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study: what is searched, what is tried first, and what is maximised.

    Args:
        name: lower-case letters, digits, '-' and '_'; the entry point has the same name.
        summary: one line for `harness list studies`.
        owns: config paths that trials set; users cannot set them with --set, nor may the tuned variant change them.
        space: (experiment, options) -> parameters by name. The experiment is the resolved one that trials start from.
        to_settings: (params, experiment) -> config path -> value, all of them for every trial; paths outside `owns` may be
            among them when they follow from the searched ones (the steps that keep the number of sequences equal, say).
        arms: (experiment, options) -> the fixed settings.
        options: names of options (`--with NAME`) that widen the space, with what they mean.
        objective: a training's summary (training.json: validation_ssim, seconds, steps, ...) -> what is maximised. The
            summary holds nothing of the test data. None or a number that is not finite fails the trial.
    """

    name: str
    summary: str
    owns: tuple[str, ...]
    space: Callable[[Experiment, Options], Space]
    to_settings: Callable[[Params, Experiment], Mapping[str, object]]
    arms: Callable[[Experiment, Options], tuple[Arm, ...]] = lambda experiment, options: ()
    options: Mapping[str, str] = field(default_factory=dict)
    objective: Callable[[Mapping[str, Any]], float | None] = validation_ssim

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise RequestError(f"study name {self.name!r}; use lower-case letters, digits, '-' and '_', at most 64")
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))
