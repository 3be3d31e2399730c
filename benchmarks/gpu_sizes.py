"""How large the stages of benchmarks/gpu.py are: on a GPU, in the rehearsal, and by what was measured there."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRAININGS = 8.5
"""Trainings of a block of the table: base, three ideas, all of them, controls of 1, 0.5 and 2 budgets; tta needs none."""
NETWORKS = 11
OVERHEAD = 1.3
"""Of a cell beside its steps: start, validation, test."""
FEWEST = 4
"""The smallest number that `--max-seeds` takes."""
FLOOR = "by arithmetic 43 to 70 ms on an H100 at preset paper, batch 64"
WORTH = 1.1
"""How much faster several cells at once must be than one after the other."""


@dataclass(frozen=True)
class Setup:
    """What differs between a GPU and its rehearsal."""

    device: str
    presets: tuple[str, ...]
    """Those that the table may have, best first: the first whose own budget fits is taken."""
    quality: str
    batches: tuple[int, ...]
    seeds: int
    """The fewest of the table, and those of the networks."""
    together: dict[str, tuple[str, ...]]
    """Presets whose cells are small enough to try several at once, and the words of benchmarks/together.py for each."""
    bench: tuple[str, ...] = ("--rounds", "3")
    """Words for `harness bench`."""
    table: tuple[str, ...] = ()
    """More words for the table's plan."""
    networks: tuple[str, ...] = ()
    """Those of the networks stage; all when empty."""
    network_seconds: float = math.inf
    """The most that a network gets."""
    kernels: tuple[str, ...] = ()
    """Words for benchmarks/kernels.py."""
    most_seeds: int = 30
    """Of the table, where the time allows them."""


GPU = Setup("cuda", ("paper", "evening", "cpu"), "paper", (1, 8, 32, 64), seeds=3, together={"evening": (), "cpu": ()})
REHEARSAL = Setup(
    *("cpu", ("tiny",), "tiny", (2,)),
    seeds=2,
    bench=("--rounds", "1", "--contenders", "fast"),
    together={"tiny": ("--counts", "1,2", "--steps", "8")},
    table=("--variants", "residual,tta"),
    networks=("simvp",),
    network_seconds=0.5,
    most_seeds=FEWEST,
    kernels=("--seconds", "0.001", "--precision", "float32", "--quick"),
)


def table_of(step_seconds: dict[str, float], own_steps: dict[str, int], setup: Setup, seconds: float) -> tuple[str, int]:
    """The preset and steps of the table: the first whose own steps fit the time, else the cheapest with as many as fit.

    Paper's may be a quarter of its own: what is cut is a budget that all arms share.
    """
    for name in setup.presets:
        fits = int(seconds / (setup.seeds * TRAININGS * OVERHEAD * step_seconds[name]))
        if fits >= own_steps[name] / (4 if name == "paper" else 1):
            return name, min(fits, own_steps[name])
    return name, max(2, fits)


def seeds_of(trainings: float, setup: Setup, seconds: float) -> int:
    """How many blocks of seeds the table may have: as many as fit the time, where one training takes so many seconds."""
    return min(setup.most_seeds, max(setup.seeds, int(seconds / (TRAININGS * OVERHEAD * trainings))))


def seed_words(most: int) -> tuple[str, ...]:
    """The words of `ablate`: with enough seeds, an arm that is decided gets no more of them."""
    return ("--seeds", "auto", "--max-seeds", str(most)) if most >= FEWEST else ("--seeds", str(most))


def at_once(path: Path, setup: Setup) -> tuple[str, int, float]:
    """How cells train at once (an option of `ablate`), how many, and how many times as fast as one at a time that is.

    Args:
        path: what benchmarks/together.py left of a preset, if it was measured.
    """
    if path.exists():
        from together import fastest

        text = path.read_text()
        option, count, gain = fastest(json.loads(text[text.index("{") :])["rows"])
        if setup is REHEARSAL:  # whatever a CPU gains or loses
            return "--cells-per-process", 2, 1.0
        if gain >= WORTH:
            return option, count, gain
    return "--workers", 1, 1.0


def arms(setup: Setup) -> int:
    """Trainings of a seed of the networks stage: base and the others."""
    return 1 + len(setup.networks) if setup.networks else NETWORKS


def step_seconds(path: Path) -> float:
    """Of what `harness bench --json` left."""
    return float(_trained(path)[0]["ms_per_step"]) / 1000


def step_words(path: Path) -> str:
    """The same of each contender, with its share of the device's peak, beside the floor; empty where nothing was measured."""
    if not path.exists():
        return ""
    rows = (f"{row['contender']} {row['ms_per_step']:.1f} ms, {row['share_of_peak']:.0%} of peak" for row in _trained(path))
    return f"A training step ({path.name}; {FLOOR}): {'; '.join(rows)}."


def _trained(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    rows: list[dict[str, Any]] = json.loads(text[text.index("{") :])["training"]
    return rows


def steps_of_epochs(name: str) -> int:
    """Training steps of a preset whose budget is in epochs."""
    from harness.presets import preset

    experiment = preset(name)
    sequences: Any = experiment.get("data.epoch_sequences")
    return round((experiment.training.epochs or 1) * int(sequences) / experiment.training.batch_size)
