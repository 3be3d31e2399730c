"""A study bound to what its trials start from: from a trial's parameters to settings, from a training's summary to a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import HarnessError, RequestError
from harness.experiment import Experiment
from harness.store import key_of
from harness.studies import Arm, Params, Space, Study, validation_ssim
from harness.tuning import samplers
from harness.tuning.pruning import make_pruner
from harness.tuning.request import StudyRequest
from harness.version import REVISIONS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner

T = TypeVar("T")


def _without_paths(experiment: Experiment) -> dict[str, Any]:
    """The experiment's record without paths of data, whose content has a name of its own."""
    record = experiment.to_dict()
    record["data"] |= {name: "" for name in ("path", "evaluation") if record["data"].get(name)}
    return record


class BoundStudy:
    """A study of one composition: its search space, its fixed arms, its seeds and its identity.

    Whatever the study's own code raises becomes one line that names the study.

    Args:
        experiment: what trials start from, resolved.
        data: the identity of its data.
    """

    def __init__(self, asked: StudyRequest, study: Study, experiment: Experiment, data: Mapping[str, str]) -> None:
        self.asked, self.study, self.experiment = asked, study, experiment
        for option in asked.study_options:
            if option not in study.options:
                known = ", ".join(study.options) or "none"
                raise RequestError(f"study {study.name!r} has no option {option!r}; its options: {known}")
        options = asked.study_options
        self.space: Space = self._call("space", lambda: dict(study.space(experiment, options)))
        self.arms: tuple[Arm, ...] = self._call("arms", lambda: tuple(study.arms(experiment, options)))
        self._check()
        first = experiment.training.seed
        self.seeds = tuple(range(first, first + asked.seeds_per_trial))
        self.spec: dict[str, Any] = {
            "study": study.name,
            "variant": asked.variant,
            "preset": asked.request.preset,
            "experiment": _without_paths(experiment),
            "data": dict(data),
            "revision": REVISIONS["training"],
            "objectives": list(asked.objectives),
            "seeds": list(self.seeds),
            "options": sorted(asked.study_options),
        }
        made = f"{study.name}.{asked.variant[:60]}.{asked.request.preset}.{key_of(self.spec)[:8]}"
        self.id = asked.study_name or made

    def _check(self) -> None:
        asked, study = self.asked, self.study
        if not self.space:
            raise RequestError(f"study {study.name!r} has an empty search space")
        samplers.check(asked.sampler, asked.pruner, asked.objectives, self.space)
        for path in study.owns:
            if path in asked.given:
                raise RequestError(f"{path} is what the study {study.name!r} searches; leave it out of --set and --config")
        for arm in self.arms:
            for name in {*arm.params, *self.space}:
                parameter = self.space.get(name)
                if parameter is None or name not in arm.params or not parameter.holds(arm.params[name]):
                    raise RequestError(
                        f"study {study.name!r}: arm {arm.name!r} has {name} = {arm.params.get(name)}, "
                        f"but its space is {parameter.record() if parameter else 'without it'}"
                    )

    def _call(self, part: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except HarnessError as error:
            raise type(error)(f"study {self.study.name!r}, {part}: {error}") from error
        except Exception as error:  # a third party's code may raise anything; one clear line names the study
            raise HarnessError(f"study {self.study.name!r} raised in its {part}: {type(error).__name__}: {error}") from error

    def settings(self, params: Params) -> dict[str, object]:
        """The settings of a trial's parameters, by path."""
        return self._call("to_settings", lambda: dict(self.study.to_settings(params, self.experiment)))

    def value(self, summary: Mapping[str, Any], run_id: str) -> float:
        """The objective of a finished training. Raises HarnessError unless it is a finite number."""
        value = self._call("objective", lambda: self.study.objective(summary))
        try:
            finite = value is not None and not isinstance(value, bool) and math.isfinite(value)
        except (TypeError, ValueError) as error:
            raise HarnessError(f"the objective of study {self.study.name!r} is no number: {error}") from error
        if value is None or not finite:
            raise HarnessError(f"the objective is {value}: the training of run {run_id} gave no finite number")
        return float(value)

    @property
    def reference(self) -> Arm | None:
        """The arm that others are compared with."""
        return next((arm for arm in self.arms if arm.reference), self.arms[0] if self.arms else None)

    @property
    def directions(self) -> list[samplers.Direction]:
        """'maximize' or 'minimize' for each objective."""
        return [samplers.OBJECTIVES[name] for name in self.asked.objectives]

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The search space in Optuna's terms."""
        return samplers.distributions(self.space)

    @property
    def validations(self) -> int:
        """Validations of a whole training; 0 when that is not known (a budget in seconds)."""
        training = self.experiment.training
        return -(-training.steps // training.validate_every) if training.steps else 0

    @cached_property
    def pruner(self) -> BasePruner | None:
        """The pruner, or None where no trial is pruned."""
        if self.study.objective is not validation_ssim and len(self.seeds) == 1:
            return None  # mid-training there is validation SSIM only, which is not what the study maximises
        return make_pruner(self.asked.pruner, self.validations, len(self.seeds), self.asked.objectives)
