"""Samplers by name, with defaults for few and noisy trials.

A training is expensive and its SSIM moves with the seed, so a study has tens of trials, not thousands. Hence:

- tpe (the default) models all parameters together (multivariate), starts after 5 trials, the fixed ones among them, instead
  of 10, and counts trials under way as bad ones (constant_liar), so that parallel workers do not try the same place twice.
- gp needs fewer trials still where all parameters are numbers and takes noise into its model; it takes seconds for
  each proposal once there are hundreds. cmaes wants at least two numeric parameters and some 50 trials. random is the control.

Every trial gets a new sampler, seeded by the study and the number of trials before. What it proposes depends on the trials in
the storage alone: there is no state that a crash could lose, CMA-ES is told its generations again (`evolution`), GP fits its
kernel from the start. So a study that was killed continues as if it had not been, with one worker; with several, the order in
which trials end decides. One exception: hyperband puts a trial into a bracket by its number, and a trial that was interrupted
gets a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from harness.errors import RequestError, unknown
from harness.studies import Choice, Int, Parameter, Scalar, Space
from harness.tuning.pruning import PRUNERS, STARTUP_TRIALS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

SAMPLERS = ("tpe", "gp", "cmaes", "random")
Direction = Literal["maximize", "minimize"]
OBJECTIVES: dict[str, Direction] = {"ssim": "maximize", "seconds": "minimize"}


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def one(parameter: Parameter) -> BaseDistribution:
        if isinstance(parameter, Choice):
            return CategoricalDistribution(parameter.options)
        if isinstance(parameter, Int):
            return IntDistribution(parameter.low, parameter.high, log=parameter.log)
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)

    return {name: one(parameter) for name, parameter in space.items()}


def check(sampler: str, pruner: str, objectives: tuple[str, ...], space: Space) -> None:
    """Raises RequestError for names that do not exist and for combinations that cannot work."""
    for kind, given, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if given not in known:
            raise unknown(kind, given, known, label="choices")
    for name in objectives:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES, label="choices")
    if objectives not in (("ssim",), ("ssim", "seconds")):
        raise RequestError(f"--objectives {','.join(objectives)}; give ssim, or ssim,seconds for a Pareto front")
    if sampler == "cmaes":
        numeric = sum(not isinstance(parameter, Choice) for parameter in space.values())
        if numeric < 2 or len(objectives) > 1:
            why = "one objective" if len(objectives) > 1 else f"at least two numeric parameters; this study has {numeric}"
            raise RequestError(f"--sampler cmaes needs {why}; use tpe or gp")
        if find_spec("cmaes") is None:
            raise RequestError("--sampler cmaes needs the package cmaes; pip install 'ablation-harness[cmaes]', or use tpe")


def make_sampler(name: str, seed_of: str, before: int) -> BaseSampler:
    """The sampler of the trial that has `before` trials before it."""
    from optuna import samplers

    seed = int.from_bytes(hashlib.sha256(f"{seed_of}/{before}".encode()).digest()[:4])
    if name == "tpe":
        return samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, constant_liar=True)
    if name == "gp":
        return samplers.GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
    if name == "cmaes":
        from harness.tuning.evolution import ReplayedCmaEs

        return ReplayedCmaEs(seed, STARTUP_TRIALS)
    return samplers.RandomSampler(seed=seed)


def propose(
    sampler: BaseSampler, study: Study, space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]
) -> dict[str, Scalar]:
    """Parameters for the study's next trial, found in memory from its trials; those that wait are left out."""
    import optuna

    memory = optuna.create_study(
        study_name=study.study_name, directions=study.directions, sampler=sampler, pruner=study.pruner
    )
    memory.add_trials(one for one in trials if one.state.name != "WAITING")
    return dict(memory.ask(dict(space)).params)
