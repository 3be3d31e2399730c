"""The commands that run a table's rows again, or find them in the store."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from harness.presets import PRESETS
from harness.runs.request import set_options, settings_text
from reports.analysis.groups import Group, Method
from reports.analysis.records import RunRecord
from reports.analysis.words import shorten

LONGEST_COMMAND = 2000
_NAME = r"[a-z][a-z0-9_-]{0,63}(\([^+\x00-\x1f]{1,400}\))?"
_COMPOSITION = re.compile(rf"{_NAME}(\+{_NAME}){{0,31}}")


def command(method: Method, settings: Mapping[str, str] | None = None) -> str:
    """The command that runs a row again, or finds it in the store; `settings` replace some of its own.

    Where a record holds what no command can ask for, a comment says so.
    """
    if not _COMPOSITION.fullmatch(method.variant):
        return f"# no plugin can have the name {shorten(method.variant)!r}"
    if method.first.scored:
        return (
            f"# {method.variant}: made elsewhere; harness score FILE --name {method.variant} --preset {method.first.preset}"
        )
    if method.first.preset not in PRESETS:
        return f"# {method.variant}: the preset {shorten(method.first.preset)!r} is not installed"
    given = [one for one in _options(method.first) if not any(one.startswith(f"--set {path}=") for path in settings or {})]
    notes = [one for one in given if one.startswith("#")]
    given = [one for one in given if not one.startswith("#")]
    given += [f"--set {path}={value}" for path, value in (settings or {}).items()]
    return " ".join([*_words(shlex.quote(method.variant), method.first, method.seeds), *given, *notes])


def plan_command(group: Group, plan: str, *options: str, seeds: range | None = None) -> str:
    """The command of a plan with a group's preset, seeds (or as many as `seeds`) and settings."""
    if group.first.preset not in PRESETS:
        return f"# the preset {shorten(group.first.preset)!r} is not installed"
    given = [one for one in _options(group.first) if not one.startswith("#")]
    words = _words(shlex.quote(plan), group.first, group.seeds, *options)
    return " ".join([*words[:-1], words[-1] if seeds is None else str(len(seeds)), *given])


def _words(plan: str, run: RunRecord, seeds: Sequence[int], *options: str) -> list[str]:
    """One seed alone has a comma after it, since --seeds takes a single number for how many."""
    written = ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")
    return ["harness", "ablate", "--plan", plan, *options, "--preset", run.preset, "--seeds", written]


def _options(run: RunRecord) -> list[str]:
    """The --set arguments with which a run's preset becomes its experiment, apart from what its variant changes."""
    return set_options(settings_text(run.preset, run.variant, run.changes, run.settings))


def installable(variants: Iterable[str]) -> list[str]:
    """The names among those given that a plugin, or a composition of plugins, can have."""
    return [name for name in variants if _COMPOSITION.fullmatch(name)]


def known_preset(name: str) -> str:
    """The preset's summary; empty for one that is not installed."""
    return PRESETS[name][0] if name in PRESETS else ""


def one_line(text: str) -> str:
    """A plan's command as it was typed, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_COMMAND else f"# a plan's command of {len(line):,} characters is not shown"
