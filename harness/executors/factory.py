"""From a place to what runs cells there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.executors.protocol import Executor, Executors, Processes
from harness.executors.resources import Resources


def executors(place: Resources, store: Path, note: Callable[[str], None]) -> Executors:
    """What makes the executor of that place, for work on that store. `note` is told what the user should know meanwhile."""
    if place.executor == "processes":
        return Processes

    def make(slots: int) -> Executor:
        if place.executor == "ray":
            from harness.executors.ray import Ray

            return Ray(place, store, note, slots)
        from harness.executors.slurm import Slurm

        return Slurm(place, store, note, slots)

    return make
