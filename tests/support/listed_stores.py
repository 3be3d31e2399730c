"""Stores of made-up runs that lists and tables read."""

from __future__ import annotations

from pathlib import Path

from fake_store import cell, without_sync, write_plan, write_run


def write_two_variants(root: Path) -> Path:
    """Base and attention with five seeds, and base with another rate and batch size."""
    with without_sync():
        for seed in range(5):
            for name in ("base", "attention"):
                write_run(root, cell(name, seed, "tiny"))
        write_run(root, cell("base", 0, "tiny", {"training.optimizer.lr": 0.02, "training.batch_size": 2}))
    return root


def write_plan_and_a_rate(root: Path) -> Path:
    """A plan of base and attention over four seeds, and base with another rate."""
    cells = [(name, cell(name, seed, "cpu")) for seed in range(4) for name in ("base", "attention")]
    with without_sync():
        for _, one in cells:
            write_run(root, one)
        write_plan(root, "add-one", cells)
        write_run(root, cell("base", 0, "cpu", {"training.optimizer.lr": 0.01}))
    return root
