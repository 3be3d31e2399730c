"""Where a cell runs and who is told; nothing here is part of its identity. How it runs is in `harness.options.RunOptions`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.options import RunOptions
from harness.system.progress import Progress, Silent
from harness.system.turns import ALONE, Turn
from harness.training.distributed import SINGLE_PROCESS, Distributed


@dataclass(frozen=True, kw_only=True)
class Context:
    """The surroundings of `harness.runs.cell.run_cell`.

    `force` trains again what the store has; `progress` makes the display of one training from its title; `note` tells the
    user something. `turn` is this thread's among those that train in this process.
    """

    device: str = "cpu"
    force: bool = False
    distributed: Distributed = SINGLE_PROCESS
    progress: Callable[[str], Progress] = lambda title: Silent()
    note: Callable[[str], None] = lambda text: None
    turn: Turn = ALONE


DEFAULTS = RunOptions()
HERE = Context()
"""On the CPU, in one process, silent."""
