"""Rows of a store from a cache: what changed is read again, and a lost cache changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import platformdirs
import pytest
from fake_store import cell, write_run
from listed_stores import write_two_variants

from harness.store import Folder, Store, index


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_two_variants(tmp_path_factory.mktemp("list") / "store")


def test_a_large_store_is_read_once_and_what_changed_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second listing reads no record; a changed, a new and a removed run are seen, and a lost cache changes nothing."""
    store = Store(Path(shutil.copytree(root, tmp_path / "store")))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache")
    plain = list(index.rows(store))
    monkeypatch.setattr(index, "MANY", 1)
    assert list(index.rows(store)) == plain
    (cache,) = (tmp_path / "cache/stores").iterdir()

    read: list[str] = []
    real = index.status.of_run
    monkeypatch.setattr(index.status, "of_run", lambda store, run: read.append(run.run_id) or real(store, run))
    assert list(index.rows(store)) == plain
    assert read == []

    changed, removed, damaged = (store.root / "runs" / plain[place]["run_id"] for place in range(3))
    result = json.loads((changed / "result.json").read_text())
    Folder(changed).write("result.json", {name: one for name, one in result.items() if name != "sha256"} | {"params": 7})
    shutil.rmtree(removed)
    (damaged / "result.json").write_text("{")
    made = write_run(store.root, cell("base", 77, "tiny"))
    rows = {row["run_id"]: row for row in index.rows(store)}
    assert sorted(read) == sorted([changed.name, damaged.name, made])
    assert rows[changed.name]["params"] == 7
    assert rows[damaged.name]["status"] == "damaged"
    assert rows[made]["seed"] == 77
    assert rows[removed.name]["status"] == "trained"  # its training is there
    assert rows.keys() == {one["run_id"] for one in plain} | {made}

    cache.write_text("[1, 2")
    assert {row["run_id"]: row for row in index.rows(store)} == rows
