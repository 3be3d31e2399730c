"""`harness frame` writes what the library gives."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from commands import Command
from listed_stores import write_plan_and_a_rate

import harness as library
from harness.results import Results


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plan_and_a_rate(tmp_path_factory.mktemp("frames") / "store")


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


def test_frames_are_not_written_where_a_link_leads_unless_it_is_named(root: Path, tmp_path: Path, harness: Command) -> None:
    (tmp_path / "elsewhere").mkdir()
    store = write_plan_and_a_rate(tmp_path / "store")
    (store / "frames").symlink_to(tmp_path / "elsewhere")
    answer = harness("frame", "--store", store, "--format", "csv")
    assert (answer.code, "is a link, which may lead out of the store" in answer.error) == (2, True)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_without_pyarrow_csv_is_named(root: Path, harness: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.store.frames.available", lambda: False)
    answer = harness("frame", "--store", root)
    assert (answer.code, "pip install 'ablation-harness[parquet]', or choose --format csv" in answer.error) == (2, True)
