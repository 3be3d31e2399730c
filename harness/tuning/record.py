"""The record of a study, for reports, and its best setting as a TOML file; `harness.studies` documents every field."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.notation import differences
from harness.presets import preset
from harness.store import DamagedRecord, Folder, Store
from harness.studies import Arm, Scalar
from harness.system.secrets import redact
from harness.tuning.bound import BoundStudy
from harness.tuning.database import FOLDER
from harness.tuning.files import to_toml
from harness.tuning.trials import COUNTED, MARK

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING", "waiting": "WAITING"}


def counts(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Trials by state."""
    found = Counter(one.state.name for one in trials)
    return {name: found[state] for name, state in _STATES.items()}


class StudyRecord:
    """Makes and writes a study's record.

    Attributes:
        known_trials: whether an earlier process wrote a record with trials.
        confirmed: the confirmation of the best setting, once there is one.
    """

    def __init__(self, bound: BoundStudy, store: Store, storage: str, note: Callable[[str], None]) -> None:
        self.bound, self.storage = bound, storage
        self.folder = Folder(store.part(FOLDER))
        self.name = f"{bound.id}.json"
        earlier: dict[str, Any] = {}
        try:
            earlier = self.folder.read_or_none(self.name) or {}
        except DamagedRecord as error:  # the trials are in the storage, their results in the store
            aside = store.quarantine(self.folder.path / self.name, str(error))
            note(f"damaged: {error}. It is kept in {aside} and written again")
        self.known_trials = bool(earlier.get("trials"))
        self.confirmed: dict[str, Any] | None = earlier.get("confirm")

    def make(self, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
        """The record of these trials."""
        bound, asked = self.bound, self.bound.asked
        rows = [self._row(trial) for trial in trials]
        complete = [row for row in rows if row["state"] == "COMPLETE"]
        front = _front(complete) if len(asked.objectives) > 1 else []
        best = max(complete, key=lambda row: (row["value"], -row["number"]), default=None)
        confirmed = self.confirmed if best and self.confirmed and self.confirmed["settings"] == best["settings"] else None
        return {
            "study": bound.study.name,
            "id": bound.id,
            "variant": asked.variant,
            "preset": asked.request.preset,
            "options": sorted(asked.study_options),
            "settings": _texts(asked.given),
            "command": asked.command,
            "storage": self.storage,
            "experiment": bound.spec["experiment"],
            "space": {name: one.record() for name, one in bound.space.items()},
            "owns": list(bound.study.owns),
            "objectives": list(asked.objectives),
            "directions": bound.directions,
            "seeds": list(bound.seeds),
            "sampler": asked.sampler,
            "pruner": type(bound.pruner).__name__ if bound.pruner else "none",
            "wanted": asked.trials,
            "counts": counts(trials),
            "trials": rows,
            "arms": [self._arm(arm, rows) for arm in bound.arms],
            "best": best and {name: best[name] for name in ("number", "params", "settings", "value", "values", "arm")},
            "front": [row["number"] for row in front],
            "confirm": confirmed,
        }

    def _row(self, trial: FrozenTrial) -> dict[str, Any]:
        params: dict[str, Scalar] = dict(trial.params)
        settings: dict[str, object] = {}
        if params.keys() == self.bound.space.keys():
            with contextlib.suppress(HarnessError):
                settings = self.bound.settings(params)
        values = list(trial.values) if trial.state.name in COUNTED and trial.values else None
        seed_values = trial.user_attrs.get("seed_values")
        if values and seed_values and trial.state.name == "PRUNED":
            values = [math.fsum(seed_values) / len(seed_values)]  # Optuna has the last seed's
        if values and not seed_values and trial.state.name == "COMPLETE":
            seed_values = values[:1]
        mark = trial.user_attrs.get(MARK)
        return {
            "number": trial.number,
            "state": trial.state.name,
            "arm": trial.user_attrs.get("arm"),
            "params": params,
            "settings": settings,
            "value": values[0] if values else None,
            "values": values,
            "seed_values": seed_values,
            "run_ids": mark["run_ids"] if mark else [],
            "error": trial.user_attrs.get("error"),
        }

    def _arm(self, arm: Arm, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        blank: Mapping[str, Any] = {}
        row = next((row for row in reversed(rows) if row["arm"] == arm.name), blank)
        names = ("number", "state", "settings", "value", "values", "seed_values", "run_ids", "error")
        about = {"name": arm.name, "reference": arm is self.bound.reference, "note": arm.note, "params": dict(arm.params)}
        return about | {name: row.get(name) for name in names}

    def write(self, trials: Sequence[FrozenTrial]) -> None:
        """Writes the record of these trials."""
        self.folder.write(self.name, self.make(trials))

    def save(self, trials: Sequence[FrozenTrial], *, newest: bool = True) -> dict[str, Any]:
        """Writes the record and, when there is a best setting, its TOML file; returns the record.

        Args:
            newest: whether the file is also written as best.toml.
        """
        record = self.make(trials)
        if (best := record["best"]) is not None:
            folder = Folder(self.folder.path / self.bound.study.name)
            path = folder.path / f"{self.bound.id}.toml"
            text = redact(to_toml({**self._data(), **best["settings"]}, self._comments(best, path)))
            folder.write_bytes(path.name, text.encode())
            if newest:
                path = folder.path / "best.toml"
                folder.write_bytes(path.name, text.encode())
            best["config"] = str(path)
        self.folder.write(self.name, record)
        return record

    def _data(self) -> dict[str, object]:
        """The settings of the data where they are not the preset's: a config without them would train on something else."""
        start = preset(self.bound.asked.request.preset).to_dict()["data"]
        return dict(differences({"data": self.bound.experiment.to_dict()["data"]}, {"data": start}))

    def _comments(self, best: Mapping[str, Any], path: Path) -> list[str]:
        asked = self.bound.asked
        words = ["harness", "run", "--variant", asked.variant, "--preset", asked.request.preset, "--config", str(path)]
        for name, value in _texts(asked.given).items():
            if name not in best["settings"]:
                words += ["--set", f"{name}={value}"]
        return [
            f"Chosen by the study {self.bound.id}, trial {best['number']}: validation SSIM {best['value']:.4f}, "
            f"the best of {asked.trials} trials, so a little flattering",
            shlex.join(words),
        ]


def _front(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trials that no other beats in both SSIM and seconds."""

    def beaten(row: dict[str, Any]) -> bool:
        ssim, seconds = row["values"]
        return any(
            one["values"][0] >= ssim and one["values"][1] <= seconds and one["values"] != row["values"] for one in rows
        )

    return [row for row in rows if not beaten(row)]


def _texts(settings: Mapping[str, object]) -> dict[str, str]:
    return {
        path: ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for path, value in settings.items()
    }
