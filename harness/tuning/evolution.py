"""CMA-ES (Hansen 2016, arXiv:1604.00772) whose state is what the storage's trials say, and nothing else.

Optuna's own sampler of that name keeps its state as a pickle in the trials, and loads it: whoever can write to the storage
could run code here. This one tells the package cmaes every generation again each time, which takes milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

Ranges = Mapping[str, FloatDistribution | IntDistribution]


class ReplayedCmaEs(BaseSampler):
    """Proposes by CMA-ES once `startup` trials are complete; before that, and where a parameter is no number, at random.

    Every `population` complete trials after the first ones, in the order of their numbers, are a generation. An
    object serves one trial: a generation's trials differ by their seeds alone.
    """

    def __init__(self, seed: int, startup: int) -> None:
        self._seed, self._startup = seed, startup
        self._random = RandomSampler(seed=seed)
        self._space = IntersectionSearchSpace()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are numbers and have a range."""
        found = self._space.calculate(study).items()
        return {
            name: one
            for name, one in found
            if isinstance(one, FloatDistribution | IntDistribution)
            and not one.single()
            and math.isfinite(one.high - one.low)
        }

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """The next point; {} where there is nothing to learn from yet, or too few parameters."""
        from cmaes import CMA

        ranges = cast(Ranges, search_space)
        sign = 1.0 if study.direction is StudyDirection.MINIMIZE else -1.0
        complete = [
            one
            for one in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if search_space.keys() <= one.params.keys() and one.value is not None and math.isfinite(one.value)
        ]
        told = sorted(complete, key=lambda one: one.number)[self._startup :]
        if len(ranges) < 2 or len(complete) < self._startup:
            return {}
        middle = np.full(len(ranges), 0.5)
        bounds = np.tile([0.0, 1.0], (len(ranges), 1))
        search = CMA(mean=middle, sigma=1 / 6, bounds=bounds, seed=self._seed)
        size = search.population_size
        for start in range(0, len(told) - size + 1, size):
            points = [(_to_unit(one.params, ranges), sign * cast(float, one.value)) for one in told[start : start + size]]
            search.tell(points)
        return _from_unit(search.ask(), ranges)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """At random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _limits(one: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """The range's ends on the scale that is searched: whole numbers get an equal share each."""
    half = 0.5 if isinstance(one, IntDistribution) else 0.0
    low, high = one.low - half, one.high + half
    return (math.log(low), math.log(high)) if one.log else (low, high)


def _to_unit(params: Mapping[str, Any], ranges: Ranges) -> NDArray[np.float64]:
    found = []
    for name, one in ranges.items():
        low, high = _limits(one)
        value = float(params[name])
        found.append(((math.log(value) if one.log else value) - low) / (high - low))
    unit: NDArray[np.float64] = np.clip(np.array(found), 0.0, 1.0)
    return unit


def _from_unit(point: NDArray[np.float64], ranges: Ranges) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for share, (name, one) in zip(point, ranges.items(), strict=True):
        low, high = _limits(one)
        value = low + float(share) * (high - low)
        value = math.exp(value) if one.log else value
        if one.step is not None:  # whole numbers always have one
            value = one.low + round((value - one.low) / one.step) * one.step
        found[name] = min(max(value, one.low), one.high)
    return found
