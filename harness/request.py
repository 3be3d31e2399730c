"""From the user's words (variant, preset, settings, files) to cells."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.source import Source, open_source
from harness.devices import resolve
from harness.errors import RequestError
from harness.experiment import Experiment
from harness.presets import preset
from harness.registry import Variants
from harness.store import Cell

DEFAULT_STORE = Path("artifacts")
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
