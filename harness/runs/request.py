"""From the user's words (variant, preset, settings, files) to cells."""

from __future__ import annotations

import math
import os
import shlex
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.source import Source, open_source
from harness.errors import RequestError
from harness.experiment import BUDGETS, Experiment
from harness.presets import preset
from harness.store import Cell
from harness.system.devices import resolve
from harness.variant import Variants

SAVE_SECONDS = 30.0
"""Seconds between a training's checkpoints, where nothing else is asked for: what a crash may cost."""
DEFAULT_STORE = Path("artifacts")
SEED = "training.seed"
_BUDGET = frozenset(f"training.{name}" for name in BUDGETS)
MAX_CONFIG_BYTES = 2**20


def store_root(given: Path | None) -> Path:
    """The store's folder: what was given, else HARNESS_STORE, else 'artifacts' here. It need not exist yet.

    Raises RequestError when it is no folder.
    """
    root = given or Path(os.environ.get("HARNESS_STORE") or DEFAULT_STORE)
    if root.exists() and not root.is_dir():
        raise RequestError(f"the store {root} is a file, not a folder; choose another with --store or HARNESS_STORE")
    return root


def parse_settings(texts: Iterable[str]) -> dict[str, object]:
    """Settings from 'path=value' texts, checked later against the declared types. A path given twice is refused."""
    found: dict[str, object] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not path:
            raise RequestError(f"--set {text!r}; write path=value, such as training.max_lr=2e-3")
        if path in found:
            raise RequestError(f"--set {path} is given twice ({found[path]!r} and {value!r}); give it once")
        found[path] = value.strip()
    return found


def read_config(path: Path) -> dict[str, object]:
    """Settings from a TOML file with the sections of an experiment ([training], [loss], ...). Raises RequestError."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: no path at all, such as one with a zero byte
        raise RequestError(f"cannot read config {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(text) > MAX_CONFIG_BYTES:
        raise RequestError(f"config {path} is larger than 1 MiB; it is not a config file")
    try:
        content = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number of thousands of digits, nested too deep
        raise RequestError(f"config {path} is not TOML: {str(error)[:200]}") from None
    found: dict[str, object] = {}
    for section, values in content.items():
        if not isinstance(values, dict):
            raise RequestError(f"config {path}: {section!r} is not a section; write [training] and below it max_lr = 2e-3")
        found |= {f"{section}.{name}": value for name, value in values.items()}
    return found


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for, apart from the variant. `settings` and `config` map config paths to values."""

    preset: str
    device: str = "cpu"
    digits: Path | None = None
    settings: Mapping[str, object] | None = None
    config: Mapping[str, object] | None = None

    def experiment(self, variants: Variants, text: str, seed: int | None = None) -> Experiment:
        """The resolved experiment: preset, then config file, then the variants' changes, then settings: the last one wins."""
        experiment = preset(self.preset).replace(self.config or {})
        experiment = variants.compose(text).apply(experiment).replace(self.settings or {})
        if seed is not None:
            experiment = experiment.replace({"training.seed": seed})
        return resolve(experiment, self.device)

    def cell(
        self, variants: Variants, text: str, seed: int | None = None, source: Source | None = None
    ) -> tuple[Cell, Source]:
        """The cell of a variant and a seed, with its data. A source opened before is used again when its data are the same."""
        experiment = self.experiment(variants, text, seed)
        if source is None or source.data != experiment.data:
            source = open_source(experiment.data, self.digits)
        composition = variants.compose(text)
        return Cell(composition.name, self.preset, experiment, source.identity, tuple(sorted(composition.changes))), source


def set_options(name: str, settings: Mapping[str, Any], changes: Collection[str]) -> list[str]:
    """The --set options with which the preset `name` becomes a run's settings, apart from what its variant changes.

    What no --set can write is named in a comment. Raises RequestError for a preset that is not installed.
    """
    start = preset(name).to_dict()
    defaults = {f"{section}.{one}": value for section, values in start.items() for one, value in values.items()}
    defaults[SEED] = settings.get(SEED)
    epochs = defaults.get("training.epochs")
    batch, sequences = settings.get("training.batch_size"), settings.get("data.epoch_sequences")
    if epochs is not None and isinstance(batch, int) and isinstance(sequences, int) and batch > 0:
        resolved = math.ceil(epochs * sequences / batch)
        if settings.get("training.steps") == resolved:
            defaults |= {"training.epochs": None, "training.steps": resolved}
    found = []
    for path, value in settings.items():
        if path in changes or value == defaults.get(path) or (path in _BUDGET and value is None):
            continue
        if isinstance(value, dict):
            found.append(f"# {path} holds a component that no --set can write")
            continue
        written = ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
        found.append(f"--set {shlex.quote(f'{path}={written}')}")
    return found


def run_command(record: Mapping[str, Any]) -> str:
    """The command that goes on with a run or finds it in the store, from its experiment.json.

    Raises RequestError for a preset that is not installed; TypeError, AttributeError or KeyError for another program's record.
    """
    settings = {
        f"{section}.{name}": value for section, values in record["experiment"].items() for name, value in values.items()
    }
    options = set_options(record["preset"], settings, record["changes"])
    words = ["harness", "run", "--variant", shlex.quote(record["variant"]), "--preset", record["preset"]]
    words += ["--seed", str(int(record["seed"]))]
    return " ".join([*words, *sorted(options, key=lambda one: one.startswith("#"))])
