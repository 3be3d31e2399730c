"""A training that continues a finished one beyond its budget: what it takes over, and what it must have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors.torch import load_file, save

from harness.errors import RequestError
from harness.experiment import BUDGETS, Experiment
from harness.notation import differences
from harness.store import DamagedRecord, Training
from harness.training.checkpoint import LAST, best_name
from harness.training.start import ExtensionStart
from harness.tree import record_of


def check_extension(experiment: Experiment, parent: Experiment, spent: Mapping[str, float]) -> None:
    """Raises RequestError when an extension differs from its parent in anything but the budget, or has none left.

    `spent` are the parent's steps and seconds. Both experiments are resolved.
    """
    start: ExtensionStart = experiment.training.start
    run_id = start.run
    if not start.file().exists():
        raise RequestError(
            f"run {run_id} cannot be extended: {start.file()} is gone; train it again with --force, then extend it"
        )
    free = dict.fromkeys(BUDGETS) | {"start": None}
    own, other = ({"training": dict(record_of(one.training)) | free} for one in (experiment, parent))
    for name in ("architecture", "loss", "data"):
        own[name], other[name] = record_of(getattr(experiment, name)), record_of(getattr(parent, name))
    moved = ("data.path", "data.evaluation", "data.test_sequences")
    found = [(path, text) for path, text in differences(own, other) if path not in moved]
    if found:
        listed = ", ".join(f"{path}={text}" for path, text in found[:5])
        raise RequestError(f"run {run_id} cannot be extended with other settings ({listed}); change the budget alone")
    unit, whole = next((name, value) for name in spent if (value := getattr(experiment.training, name)) is not None)
    if whole <= spent[unit]:
        raise RequestError(
            f"run {run_id} was trained for {spent[unit]:g} {unit} and --extend names the whole budget, {whole:g} {unit}; give more"
        )


def begin_extension(folder: Training, start: ExtensionStart, patience: int) -> None:
    """Writes the parent's last state, and its best checkpoint so far, into the folder of a training that has none yet.

    Raises RequestError when the store no longer has them.
    """
    parent = Training(start.file().parent)
    try:
        header = parent.check_checkpoint(LAST)
        state = json.loads(header["state"])
        if (best := state["best_step"]) is not None:
            parent.check_checkpoint(best_name(best))
    except (DamagedRecord, OSError, KeyError, ValueError) as error:
        raise RequestError(
            f"run {start.run} cannot be extended: {error}; train it again with --force, then extend it"
        ) from None
    if 0 < patience <= state["validations_without_gain"]:  # it stopped early; the extension waits as long again
        state["validations_without_gain"] = 0
    if best is not None:
        folder.write_checkpoint(best_name(best), save(load_file(parent.path / best_name(best))), {"step": str(best)})
    kept = {name: header[name] for name in header.keys() - {"training", "format"}} | {"state": json.dumps(state)}
    folder.write_checkpoint(LAST, save(load_file(parent.path / LAST)), kept)
