"""The identity of experiments: what is trained once, and tested once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness import NUMERICS
from harness.experiment import Experiment, canonical_json
from harness.system.files import digest


def key_of(value: object) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return digest([canonical_json(value).encode()])[:16]


@dataclass(frozen=True)
class Cell:
    """One experiment with the identity of its data: what is trained once, and evaluated once.

    `identity` names the content of the training and evaluation data (see `harness.data.source.Source.identity`);
    `changes` are the config paths that the variant changes, kept so that a report can tell a variant from another setting.
    """

    variant: str
    preset: str
    experiment: Experiment
    identity: Mapping[str, str]
    changes: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """The seed of initialisation and data."""
        return self.experiment.training.seed

    @cached_property
    def training_key(self) -> str:
        """The checkpoint's key: equal for all cells that would train the same weights."""
        record = self.experiment.to_dict()
        # The test data cannot change the weights, nor can a path: the content's digest stands for it.
        data = {k: v for k, v in record["data"].items() if k not in ("frames", "evaluation", "test_sequences")}
        parts = {name: record[name] for name in ("architecture", "loss", "training")}
        return key_of({"numerics": NUMERICS, "train": self.identity["train"], "data": data} | parts)

    @cached_property
    def run_id(self) -> str:
        """The result's key: the checkpoint, how it predicts, and on what it is tested."""
        return key_of(
            {
                "training": self.training_key,
                "inference": self.experiment.to_dict()["inference"],
                "evaluation": self.identity["evaluation"],
                "test_sequences": self.experiment.data.test_sequences,
            }
        )

    def record(self) -> dict[str, Any]:
        """Plain values for experiment.json."""
        return {
            "variant": self.variant,
            "preset": self.preset,
            "seed": self.seed,
            "changes": list(self.changes),
            "run_id": self.run_id,
            "training_key": self.training_key,
            "numerics": NUMERICS,
            "identity": dict(self.identity),
            "experiment": self.experiment.to_dict(),
        }
