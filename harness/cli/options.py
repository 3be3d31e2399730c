"""Options declared once, as fields of frozen dataclasses: a command takes the dataclass, typer sees one option per field."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from harness.options import option
from harness.system.console import note

if TYPE_CHECKING:
    from harness.reports import Report
    from harness.runs.request import Request
    from harness.store import Store
    from harness.variant import Variants

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
RunIdArgument = Annotated[str, typer.Argument(help="A run's id, or its first digits.")]


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Turns the dataclass parameters of a command into one typer option per field. The command receives the dataclasses.

    A field's name, type, default and metadata (see `harness.options.option`) make the option. A parameter whose default is an
    `option` becomes one too; other parameters stay as they are.

    >>> @dataclass(frozen=True)
    ... class Speed:
    ...     fast: bool = option(False, "Hurry.")
    >>> @expand_options
    ... def go(*, place: str = option("home", "Where to go."), speed: Speed) -> None:
    ...     print(place, speed)
    >>> list(inspect.signature(go).parameters)
    ['place', 'fast']
    >>> go(place="out", fast=True)
    out Speed(fast=True)
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _parameters(groups[name])
        elif isinstance(parameter.default, Field):
            parameters.append(_parameter(name, hints[name], parameter.default))
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def expanded(**values: Any) -> None:
        filled = {name: kind(**{one.name: values.pop(one.name) for one in fields(kind)}) for name, kind in groups.items()}
        command(**values, **filled)

    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {one.name: one.annotation for one in parameters}
    return expanded


@cache
def _parameters(group: Any) -> list[inspect.Parameter]:
    """The options of a dataclass, made once for all commands that take it."""
    types, panel = get_type_hints(group), getattr(group, "panel", None)
    return [_parameter(one.name, types[one.name], one, panel) for one in fields(group)]


def _parameter(name: str, kind: Any, field: Field[Any], panel: str | None = None) -> inspect.Parameter:
    flags = field.metadata["flag"].split() or [f"--{name.replace('_', '-')}"]
    shown = typer.Option(*flags, help=field.metadata["help"], min=field.metadata["at_least"], rich_help_panel=panel)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, shown])


@dataclass(frozen=True, kw_only=True)
class PresetOptions:
    """Which experiment to start from."""

    preset: str | None = option(None, "cpu, evening, paper or tiny. Default: paper on a GPU, else cpu.", flag="--preset -p")

    def request(self, device: str, digits: Path | None) -> Request:
        """The request for 'cpu', 'cuda' or 'cuda:N'. Raises RequestError for settings that cannot be read."""
        from harness.runs.request import Request

        preset = self.preset
        if preset is None:
            preset, why = ("paper", "running on a GPU") if device.startswith("cuda") else ("cpu", "running without a GPU")
            note(f"preset {preset} ({why}; choose another with --preset)")
        return Request(preset=preset, device=device, digits=digits)


@dataclass(frozen=True, kw_only=True)
class RequestOptions(PresetOptions):
    """An experiment: a preset, and what differs from it."""

    settings: list[str] | None = option(None, "A setting, path=value; may be repeated.", flag="--set -s")
    config: Path | None = option(None, "A TOML file of settings.", flag="--config -c")

    def request(self, device: str, digits: Path | None, store: Path | None = None) -> Request:
        """The same, with settings. `store` is where `training.start=run:ID` finds runs."""
        from harness.runs.request import parse_settings, read_config

        request = super().request(device, digits)
        config = read_config(self.config) if self.config else None
        return replace(request, settings=parse_settings(self.settings or []), config=config, store=store)


@dataclass(frozen=True, kw_only=True)
class DigitsOptions:
    """Which digits to draw."""

    digits: Path | None = option(None, "Folder of MNIST IDX files (env: HARNESS_DIGITS).")


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(DigitsOptions):
    """Where to compute, and with which digits."""

    device: str = option("auto", "auto, cpu, cuda or cuda:N.")


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Where runs are."""

    store: Path | None = option(None, "The run store (env: HARNESS_STORE). Default: artifacts.")

    @property
    def root(self) -> Path:
        """The store's folder. Raises RequestError when it is a file."""
        from harness.store import store_root

        return store_root(self.store)

    def open(self) -> Store:
        """The store. Raises RequestError when it is a file."""
        from harness.store import Store

        return Store(self.root)


@dataclass(frozen=True, kw_only=True)
class PluginOptions:
    """Which plugins to load."""

    plugin: list[Path] | None = option(None, "A Python file with variants; may be repeated.")
    no_plugins: bool = option(False, "Leave out plugins of other packages.")

    @property
    def files(self) -> tuple[Path, ...]:
        """The plugin files."""
        return tuple(self.plugin or ())

    def variants(self) -> Variants:
        """The installed variants and those of the plugin files."""
        from harness.variant import Variants

        return Variants(files=self.files, third_party=not self.no_plugins)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(PluginOptions):
    """Which report, and how it judges."""

    report: str = option("ablation", "Which report (see `list reports`).")
    margin: float | None = option(None, "Smallest difference of interest, in the metric. Default: the report's.")

    def load(self) -> Report:
        """The report. Raises RequestError when it is not installed."""
        from harness.registry import Plugins
        from harness.reports import Report

        report: Report = Plugins("harness.reports", Report, third_party=not self.no_plugins).get(self.report)
        return report
