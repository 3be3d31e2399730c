"""Stores with a part of one plan, to merge and to bundle."""

from __future__ import annotations

from pathlib import Path

from fake_store import Fake, cell, without_sync, write_plan, write_run


def content(root: Path) -> dict[str, bytes]:
    """Every record of a store by its path."""
    kinds = ("runs", "trainings", "plans")
    return {
        str(one.relative_to(root)): one.read_bytes() for kind in kinds for one in (root / kind).rglob("*") if one.is_file()
    }


def made(root: Path, seeds: range, ssim: float | None = None) -> Path:
    """A plan of base and attention over three seeds, of which `seeds` are finished."""
    cells = [(name, cell(name, seed, "tiny")) for seed in range(3) for name in ("base", "attention")]
    with without_sync():
        for _, one in cells:
            if one.seed in seeds:
                write_run(root, one, Fake(ssim=ssim))
        write_plan(root, "add-one", cells)
    return root
