"""What a hook is to the engine: an object whose methods are called at moments of a run. Trackers and users' callbacks are hooks.

A package registers its class in the entry-point group `harness.hooks`, and `--track NAME` chooses it; `--hook module:Class` takes
a class of your own, `harness.run(..., hooks=[...])` classes and objects. See docs/trackers.md.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RequestError
from harness.registry import Plugins


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """The run that a hook hears of.

    Args:
        run_id: its id in the store; `harness show` takes it.
        arm: the composition of variants ('residual+attention(heads=8)'), which the runs of all its seeds share.
        settings: config path -> value, all of them.
        store: the folder of runs.
        resumed: whether an earlier process began its training.
    """

    run_id: str
    training_key: str
    arm: str
    seed: int
    preset: str
    settings: Mapping[str, Any]
    store: Path
    resumed: bool = False


class Hook:
    """One method for each moment of a run; all do nothing. Derive from it and override those that you want.

    The methods are called in this order, in a thread of the hook's own, while the training runs: a hook that raises, hangs or is
    slow costs its own events alone. What they are given is a copy. A hook must leave the state of the process alone: torch's
    global random numbers above all.
    """

    def start(self, run: RunInfo) -> None:
        """The run starts, or continues where an earlier process was stopped."""

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Every tenth training step: its loss, learning_rate and horizon."""

    def validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """After a validation of the training: its metrics by name. Non-finite ones are as they are."""

    def picture(self, name: str, step: int, png: bytes) -> None:
        """After the test, before `end`: a test sequence with its truth and its prediction, as a PNG."""

    def end(self, result: Mapping[str, Any]) -> None:
        """The run is finished: its result, as `harness show --json` has it; of a run that is not tested, its training's summary."""

    def stop(self, reason: str) -> None:
        """The run was told to stop. Its state is saved, and `start` comes again when it resumes."""

    def failure(self, error: str) -> None:
        """The run failed."""


NO_HOOKS = Hook()


class Hooks(Plugins):
    """The hooks' classes by name."""

    def __init__(self) -> None:
        super().__init__("harness.hooks", Hook)

    def accepts(self, value: object) -> bool:
        """Whether it is a hook's class."""
        return isinstance(value, type) and issubclass(value, Hook)

    def name_of(self, value: Any, name: str) -> str:
        """A class is called what its entry point says."""
        return name


Given = str | Hook | type[Hook]
"""A hook: an installed one's name, module:Class, a class, or an object."""


def find_hooks(given: Iterable[Given]) -> dict[str, Callable[[], Hook]]:
    """What makes each hook, by the name that messages use. An object serves all runs, of a class each has its own.

    Raises RequestError for an unknown name, a class that cannot be loaded, and what is no hook.
    """
    return dict(_find(one) for one in given)


def _find(given: Given) -> tuple[str, Callable[[], Hook]]:
    found: object = given
    if isinstance(given, str):
        found = _class(given) if ":" in given else Hooks().get(given)
    name = given if isinstance(given, str) else getattr(given, "__qualname__", type(given).__qualname__)
    if isinstance(found, Hook):
        return name, lambda: found
    if not (isinstance(found, type) and issubclass(found, Hook)):
        raise RequestError(f"{name} is {_kind(found)}, not a hook; derive a class from harness.Hook")
    return name, found


def _class(text: str) -> object:
    module, _, attributes = text.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)  # the current folder is searched first, as `python -m` does
    try:
        found: object = importlib.import_module(module)
        for part in attributes.split("."):
            found = getattr(found, part)
    except Exception as error:  # another author's code
        raise RequestError(f"--hook {text} cannot be loaded: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(here)
    return found


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
