"""How cells are run, declared once: one value that travels from the command line through plans, studies and executors.

Nothing here changes a result by more than rounding, so nothing here is part of a cell's identity. A new option is one field of
`RunOptions`: the commands that run cells show it, and every executor hands it on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

SAVE_SECONDS = 30.0
"""Seconds between a training's checkpoints, unless another value is given: what a crash may cost."""


def option(default: T, help: str, *, flag: str = "", at_least: float | None = None) -> T:
    """A field with its help text on the command line. `flag` replaces the name made of the field's own."""
    result: T = field(default=default, metadata={"help": help, "flag": flag, "at_least": at_least})
    return result


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to train and test a cell."""

    deterministic: bool = option(False, "Use deterministic algorithms only (slower on a GPU).")
    auto_batch: bool = option(False, "When memory runs out, train, validate and test on smaller parts of the same batch.")
    no_graphs: bool = option(False, "On a GPU, launch every kernel by itself instead of replaying CUDA graphs.")
    reference: bool = option(False, "Train with the plain reading of the equations, to check the fast path (slow).")
    save_every: float = option(SAVE_SECONDS, "Seconds between checkpoints: what a crash may cost.", at_least=0)
