"""A store's file of Optuna studies that is damaged: it is named and kept, studies start again, nothing is trained again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from commands import Command
from study_cells import AtOnce, Lab

from harness.errors import HarnessError
from harness.maintenance import repair
from harness.store.store import Store
from harness.tuning.database import FOLDER, NAME, damage, ensure_whole


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_a_header(path: Path) -> None:
    path.write_bytes(bytes(100) + path.read_bytes()[100:])


def changed_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)


def foreign(path: Path) -> None:
    path.write_bytes(b"no database\n" * 1000)


def linked(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


SPOILS = [truncated, without_a_header, changed_page, foreign, linked]


def make(path: Path) -> None:
    """A database with a write-ahead log, as a study leaves one."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE trials (number INTEGER PRIMARY KEY, value TEXT)")
        connection.executemany("INSERT INTO trials VALUES (?, ?)", [(number, "x" * 500) for number in range(100)])
        connection.commit()


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_damage_is_named_kept_and_found_by_doctor(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(path := tmp_path / FOLDER / NAME)
    assert damage(path) is None
    spoil(path)
    content, before = path.read_bytes(), sorted(tmp_path.rglob("*"))
    (found,) = (one for one in repair.findings(store) if one.kind == "damaged")
    assert found.path == path
    assert str(path) in found.reason
    assert sorted(one for one in tmp_path.rglob("*") if "locks" not in one.parts) == before  # looking changes nothing
    assert found.fix is not None
    assert "It is kept in" in found.fix()
    (aside,) = (tmp_path / "quarantine").iterdir()
    assert (aside / NAME).read_bytes() == content
    assert str(path) in json.loads((aside / "why.json").read_bytes())["reason"]
    assert [one for one in repair.findings(store) if one.kind == "damaged"] == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_damage_and_not_waited_for(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(path := tmp_path / NAME)
    assert damage(path) == f"{path} is not a file"


def test_a_database_that_is_in_use_or_was_left_by_a_kill_is_whole(tmp_path: Path) -> None:
    make(path := tmp_path / FOLDER / NAME)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO trials VALUES (1000, 'y')")
        assert damage(path) is None
        connection.commit()
        assert damage(path) is None
        copied = tmp_path / "copy" / FOLDER
        shutil.copytree(path.parent, copied)
    assert Path(f"{copied / NAME}-wal").stat().st_size > 0
    assert damage(copied / NAME) is None
    assert damage(tmp_path / "missing") is None


def test_what_lies_beside_a_damaged_database_goes_with_it(tmp_path: Path) -> None:
    make(path := tmp_path / FOLDER / NAME)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO trials VALUES (1000, 'y')")
        connection.commit()
        shutil.copytree(path.parent, tmp_path / "store" / FOLDER)
    foreign(damaged := tmp_path / "store" / FOLDER / NAME)
    said: list[str] = []
    ensure_whole(Store(tmp_path / "store"), said.append)
    assert len(said) == 1
    assert list(damaged.parent.iterdir()) == []
    assert len(list((tmp_path / "store" / "quarantine").glob(f"{FOLDER}.{NAME}*"))) == 3


def test_a_study_begins_anew_and_its_cells_are_answered_from_the_store(
    harness: Command, tmp_path: Path, quick: None
) -> None:
    where = ["--preset", "tiny", "--no-plugins", "--device", "cpu", "--store", tmp_path]
    words = ["study", "loss-weights", "--trials", "2", "--sampler", "random", *where, "--json"]
    first = harness(*words)
    assert first.code == 0, first.err
    trainings = sorted((tmp_path / "trainings").iterdir())
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    for spoil, said in ((truncated, "studies start again"), (lambda path: path.write_bytes(b""), "knows no trial")):
        spoil(tmp_path / FOLDER / NAME)
        again = harness(*words)
        assert again.code == 0, again.err
        assert said in again.err
        results = [(one["params"], one["value"]) for one in again.document["trials"]]
        assert results == [(one["params"], one["value"]) for one in first.document["trials"]]
    assert sorted((tmp_path / "trainings").iterdir()) == trainings
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == weights


@contextmanager
def full_after(pages: int) -> Iterator[None]:
    """Within, SQLite answers as on a full disk when a database would have more pages, or more than it has already."""

    def limit(connection: sqlite3.Connection, record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}").close()

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", limit)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", limit)


def test_a_study_meets_a_full_disk_and_goes_on_when_there_is_room(harness: Command, tmp_path: Path, quick: None) -> None:
    where = ["--preset", "tiny", "--no-plugins", "--device", "cpu", "--store", tmp_path]
    words = ["study", "loss-weights", "--trials", "1", "--sampler", "random", *where, "--json"]
    with full_after(20):  # some of the tables
        full = harness(*words)
    assert full.code == 1, full.err
    assert f"cannot open the storage sqlite:///{tmp_path}" in full.error
    assert "database or disk is full; free some space" in full.error
    assert "server" not in full.error
    again = harness(*words)
    assert again.code == 0, again.err
    assert again.document["counts"]["complete"] == 1


def test_a_study_whose_database_cannot_grow_stops_and_goes_on_when_it_can(tmp_path: Path) -> None:
    with closing(Lab(tmp_path)) as lab:
        lab.search(trials=1, sampler="random").run(AtOnce())
        with full_after(1), pytest.raises(HarnessError, match=r"disk is full; .* kept: free some space"):
            lab.search(trials=50, sampler="random").run(AtOnce())
        assert 1 <= len(lab.trainings()) < 50
        again = lab.search(trials=50, sampler="random")
        again.run(AtOnce())
        assert again.record()["counts"] == {"complete": 50, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
        assert set(lab.trainings()) == {1}
