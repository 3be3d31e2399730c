"""What is asked of a study, checked as far as that needs neither the study's own code nor torch."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from harness.errors import RequestError
from harness.executors.jobs import Jobs
from harness.runs.request import Request
from harness.system.secrets import public_url, redact

_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class StudyRequest(Jobs):
    """What the user asked for; see `harness study --help`. Raises RequestError for numbers and names out of range.

    Args:
        study: the study's name.
        each: tune every installed variant, not `variant`.
        trials: finished and pruned trials in all, however often the study was interrupted.
        timeout: seconds after which the study stops cleanly; None for no limit.
        seeds_per_trial: a trial's value is the mean over so many seeds.
        study_options: the study's own options that are switched on (--with).
        confirm: seeds on which the best setting is tested; None for no test.
        max_failures: trials that may fail in a row before the study stops.
        storage: URL of Optuna's storage; None for SQLite in the store.
        study_name: the study's identity, instead of one made from what its trials have in common.
        words: the command line as it was typed.
    """

    study: str
    variant: str
    request: Request
    each: bool = False
    trials: int = 20
    timeout: float | None = None
    seeds_per_trial: int = 1
    sampler: str = "tpe"
    pruner: str = "median"
    objectives: tuple[str, ...] = ("ssim",)
    study_options: frozenset[str] = frozenset()
    confirm: int | None = None
    max_failures: int = 5
    storage: str | None = None
    study_name: str | None = None
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise RequestError(f"--trials {self.trials}; at least 1 trial is needed")
        if self.seeds_per_trial < 1 or self.max_failures < 1:
            raise RequestError("--seeds-per-trial and --max-failures are at least 1")
        if self.timeout is not None and not self.timeout > 0:
            raise RequestError(f"--timeout {self.timeout:g}; give seconds above 0")
        if self.workers < 0:
            raise RequestError(f"--workers {self.workers}; at least 1 is needed")
        if self.confirm is not None and self.confirm < 1:
            raise RequestError(f"--confirm {self.confirm}; give at least 1 seed (3 for a verdict)")
        if self.study_name is not None and (self.each or not _STUDY_NAME.fullmatch(self.study_name)):
            why = "--each makes one a variant" if self.each else "use letters, digits, '.', '_', '+' and '-', at most 100"
            raise RequestError(f"--study-name {self.study_name!r}; {why}")

    @property
    def command(self) -> str:
        """The command line without secrets."""
        url = self.storage
        return shlex.join(redact(word.replace(url, public_url(url)) if url else word) for word in self.words)

    @property
    def given(self) -> dict[str, object]:
        """The settings of --config and --set, by path."""
        return {**(self.request.config or {}), **(self.request.settings or {})}
