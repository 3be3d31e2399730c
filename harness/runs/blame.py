"""Which component of an experiment a failure belongs to, and what it did to the generators that everybody shares."""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.component import Component, Node, is_slot
from harness.errors import HarnessError, RequestError
from harness.experiment import Experiment
from harness.system.devices import out_of_memory


def who(component: Component) -> str:
    """A component, its slot and where it comes from: 'architecture.bottleneck=mine (mine.py)'."""
    module = type(component).__module__
    file = str(getattr(sys.modules.get(module), "__file__", "") or "")
    origin = file if module.startswith("harness_plugin_") and file else module
    return f"{component.slot}={component.name} ({origin})"


def inside(node: Node) -> Iterator[Component]:
    """The components of a node, itself included, the deepest first."""
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        for one in value if is_slot(f) and isinstance(value, tuple) else (value,):
            if isinstance(one, Node):
                yield from inside(one)
    if isinstance(node, Component):
        yield node


def suspect(component: Component) -> Component:
    """The component inside this one, or itself, that is most likely to have done what it did: the first that is not built in."""
    others = (one for one in inside(component) if type(one).__module__.partition(".")[0] not in ("harness", "variants"))
    return next(others, component)


def blamed(experiment: Experiment, module: nn.Module | None) -> Component | None:
    """The component whose code a network's module is of; None when that is not to be told."""
    return None if module is None else _of_code(experiment, type(module).__module__)


def _of_code(experiment: Experiment, module: str) -> Component | None:
    """The component of the experiment whose module, or package, this is; in `harness` each module is by itself."""
    for component in inside(experiment):
        home = type(component).__module__
        top, _, rest = home.partition(".")
        package = f"variants.{rest.partition('.')[0]}" if top == "variants" else top
        if module == home or (top != "harness" and module.startswith(f"{package}.")):
            return component
    return None


def _guilty(experiment: Experiment, trace: TracebackType | None) -> Component | None:
    """The component in whose code an exception was raised: the innermost of its traceback."""
    found = None
    while trace is not None:
        itself = trace.tb_frame.f_locals.get("self")
        if isinstance(itself, Component):
            found = itself
        else:
            found = _of_code(experiment, str(trace.tb_frame.f_globals.get("__name__"))) or found
        trace = trace.tb_next
    return found


def first_module(model: nn.Module, call: Callable[[], object], bad: Callable[[object], bool]) -> nn.Module | None:
    """The first module, innermost first, whose output is bad; None when none is."""
    found: list[nn.Module] = []

    def look(module: nn.Module, given: Any, output: object) -> None:
        if not found and any(map(bad, output if isinstance(output, tuple) else (output,))):
            found.append(module)

    handles = [module.register_forward_hook(look) for module in model.modules() if module is not model]
    try:
        with torch.no_grad():
            call()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


TORCH = "torch's global generator"


def _states() -> dict[str, object]:
    numpy: Any = np.random.get_state(legacy=False)
    return {
        "python's random": random.getstate(),
        "numpy's global generator": (numpy["state"]["key"].tobytes(), numpy["state"]["pos"]),
        TORCH: torch.default_generator.get_state().numpy().tobytes(),
    }


@contextmanager
def calling(experiment: Experiment, component: Component, doing: str, *, may_draw: bool = False) -> Iterator[None]:
    """Turns what another author's code raises into one line that names the component, and refuses draws from shared generators.

    Args:
        component: the one that is called; one inside it is named where the failure is known to be there.
        doing: what it is asked to do.
        may_draw: torch's global generator may be drawn from, because it is seeded there.

    Raises RequestError; lets pass what the project itself raises, and that memory ran out.
    """
    before = _states()
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        guilty = _guilty(experiment, error.__traceback__) or suspect(component)
        text = " ".join(str(error).split())[:300]
        raise RequestError(f"{who(guilty)}: {doing} failed with {type(error).__name__}: {text}") from error
    for name, state in _states().items():
        if state != before[name] and not (may_draw and name == TORCH):
            wanted = (
                "a generator that it is given, or seeds itself"
                if not may_draw
                else "torch's generator alone, which is seeded"
            )
            raise RequestError(f"{who(suspect(component))}: {doing} drew from {name}; wanted: draws from {wanted}")


@contextmanager
def preserved_randomness() -> Iterator[None]:
    """Restores the generators that everybody shares."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
