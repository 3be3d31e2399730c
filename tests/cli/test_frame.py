"""`harness frame` writes what the library gives."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from commands import Command
from fake_store import cell, without_sync, write_plan, write_run

import harness as library
from harness.results import Results


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base and attention over four seeds, and base with another rate."""
    root = tmp_path_factory.mktemp("frames") / "store"
    cells = [(name, cell(name, seed, "cpu")) for seed in range(4) for name in ("base", "attention")]
    with without_sync():
        for _, one in cells:
            write_run(root, one)
        write_plan(root, "add-one", cells)
        write_run(root, cell("base", 0, "cpu", {"training.optimizer.lr": 0.01}))
    return root


@pytest.fixture(scope="module")
def found(root: Path) -> Results:
    return library.open_store(root)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_command_writes_what_the_library_gives(
    kind: str, root: Path, tmp_path: Path, harness: Command, found: Results
) -> None:
    words = ("frame", "--store", root, "--out", tmp_path, "--format", kind)
    document = harness(*words, "--json").document["frames"]
    assert set(document) == {"runs", "metrics", "by-frame", "validations", "comparisons"}
    for what, one in document.items():
        table = pd.read_parquet(one["path"]) if kind == "parquet" else pd.read_csv(one["path"])
        expected = found.frame(what)
        assert list(table.columns) == list(expected.columns)
        for name in expected.columns:
            for there, wanted in zip(table[name], expected[name], strict=True):
                if pd.isna(wanted) or wanted == "":
                    assert pd.isna(there) or there == ""
                else:
                    assert there == (pytest.approx(wanted, rel=1e-12) if isinstance(wanted, float) else wanted)
    few = harness(*words, "--where", "variant=base and optimizer.lr=0.01", "--json").document["frames"]
    assert few["runs"]["rows"] == 1
    assert "no finished run in" in harness(*words, "--where", "seed=9").error
    assert "unknown format 'xml'; choices: csv, parquet" in harness("frame", "--format", "xml").error
