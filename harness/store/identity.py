"""The identity of experiments: what is trained once, and tested once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.experiment import Experiment, canonical_json
from harness.system.files import digest
from harness.version import REVISIONS


def key_of(value: object) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return digest([canonical_json(value).encode()])[:16]


@dataclass(frozen=True)
class Cell:
    """One experiment with the identity of its data: what is trained once, and evaluated once.

    `identity` names the content of the training and evaluation data (see `harness.data.source.Source.identity`);
    `changes` are the config paths that the variant changes, kept so that a report can tell a variant from another setting;
    `sources` are digests of the code of other packages' variants and components, so that an answer of other code is named as such.
    """

    variant: str
    preset: str
    experiment: Experiment
    identity: Mapping[str, str]
    changes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    revision: int = REVISIONS["training"]

    @property
    def seed(self) -> int:
        """The seed of initialisation and data."""
        return self.experiment.training.seed

    @cached_property
    def training_key(self) -> str:
        """The checkpoint's key: equal for all cells that would train the same weights."""
        # The test data cannot change the weights, nor can a path: the content's digest stands for it.
        return key_of({"revision": self.revision, "train": self.identity["train"]} | self._trained)

    @cached_property
    def run_id(self) -> str:
        """The result's key: the checkpoint, how it predicts, and on what it is tested. Metrics are not in it: they can be added."""
        parts = {"training": self.training_key, "evaluation": self.identity["evaluation"]}
        revised = {} if REVISIONS["prediction"] == 1 else {"revision": REVISIONS["prediction"]}
        return key_of(parts | self._tested | revised)

    @cached_property
    def _trained(self) -> dict[str, Any]:
        return self.experiment.identity

    @cached_property
    def _tested(self) -> dict[str, Any]:
        return self.experiment.evaluation_identity

    def with_seed(self, seed: int) -> Cell:
        """The same with another seed. Plans make thousands of these: what does not depend on the seed is not worked out again."""
        experiment = copy.copy(self.experiment)  # its other parts were checked when it was made
        object.__setattr__(experiment, "training", replace(self.experiment.training, seed=seed))
        made = replace(self, experiment=experiment)
        trained = self._trained | {"training": self._trained["training"] | {"seed": seed}}
        vars(made).update(_trained=trained, _tested=self._tested)
        return made

    def record(self) -> dict[str, Any]:
        """Plain values for experiment.json."""
        files = any(self.experiment.get(path) for path in ("data.path", "data.evaluation"))
        return {
            "variant": self.variant,
            "preset": self.preset,
            "seed": self.seed,
            "changes": list(self.changes),
            "run_id": self.run_id,
            "training_key": self.training_key,
            "revisions": REVISIONS | {"training": self.revision},
            "sources": dict(self.sources),
            "identity": dict(self.identity),
            "experiment": self.experiment.to_dict(),
        } | ({"folder": str(Path.cwd())} if files else {})
