"""`harness list runs` shows the settings that differ and the columns that are chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command
from listed_stores import write_two_variants


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_two_variants(tmp_path_factory.mktemp("list") / "store")


def test_runs_of_one_variant_show_the_settings_that_differ(root: Path, harness: Command) -> None:
    shown = harness("list", "runs", "--store", root, "--where", "variant=base and seed=0")
    header, *rows = (line.split() for line in shown.out.splitlines())
    assert header[-2:] == ["batch_size", "lr"]
    assert sorted(row[-1] for row in rows) == ["0.003", "0.02"]
    # What tells one variant from another is its name; no column repeats it.
    assert "batch_size" not in harness("list", "runs", "--store", root, "--where", "optimizer.lr!=0.02").out


def test_columns_are_chosen(root: Path, harness: Command) -> None:
    words = ("list", "runs", "--store", root, "--columns", "seed, optimizer.lr,ssim", "--where", "optimizer.lr=0.02")
    (row,) = harness(*words, "--json").document["runs"]
    assert list(row) == ["run_id", "seed", "training.optimizer.lr", "ssim"]
    assert row["training.optimizer.lr"] == 0.02
    assert "no column or setting 'sed'; did you mean 'seed'?" in harness(*words[:4], "--columns", "sed").error
    assert "choose among runs" in harness("list", "variants", "--where", "seed=1").error
    assert harness(*words[:4], "--where", "seed=99").out == f"no runs in {root} that meet --where 'seed=99'\n"
