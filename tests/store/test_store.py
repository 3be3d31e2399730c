"""Runs and trainings are found by their keys, their state is known, and what is set aside is kept."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records_of_stores import RECORD, fail_with_no_space

from harness.cli import listing
from harness.errors import HarnessError, RequestError
from harness.store import DamagedRecord, Folder, Run, Store

A, B, C = "a" * 16, "ab" * 8, "c" * 16


# --- finding


@pytest.fixture
def three(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    for run_id in (A, B, C):
        Run(tmp_path / "runs" / run_id).write("result.json", {})
    return store


def test_a_run_is_found_by_the_start_of_its_id(three: Store) -> None:
    assert [three.find(prefix).run_id for prefix in ("aa", "ab", "c", A)] == [A, B, C, A]


def test_an_id_that_is_not_there_or_not_enough_is_refused_with_what_is_there(three: Store) -> None:
    with pytest.raises(RequestError, match=f"2 runs with the id 'a' in .*; matches: {A}, {B}"):
        three.find("a")
    with pytest.raises(RequestError, match=r"no run with the id 'ff' in .*; there: .*`harness list runs` shows all"):
        three.find("ff")
    with pytest.raises(RequestError, match="there: none"):
        Store(three.root / "empty").find("a")


def test_a_store_with_many_runs_does_not_flood_the_terminal(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / "runs" / f"{number:016x}").mkdir(parents=True)
    for prefix in ("0", "f"):
        with pytest.raises(RequestError) as refused:
            Store(tmp_path).find(prefix)
        assert len(str(refused.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("prefix", ["../../etc", "/", "..", A + "/..", "*", "~", "\0", A + "\n"])
def test_an_id_never_leaves_the_store(three: Store, prefix: str) -> None:
    with pytest.raises(RequestError):
        three.find(prefix)


def test_files_and_folders_that_are_not_ours_are_passed_over(three: Store, tmp_path: Path) -> None:
    runs = three.root / "runs"
    for name in ("notes", ".DS_Store", "A" * 16, "a" * 15, "a" * 17, "d" * 16 + "~x"):
        (runs / name).mkdir()
    (runs / ("d" * 16)).write_text("a file with a run's name")
    (runs / ("e" * 16)).symlink_to(runs / A)
    (runs / ("f" * 16)).symlink_to(tmp_path / "nowhere")
    assert [run.run_id for run in three.runs()] == [A, B, C]
    assert [row["run_id"] for row in listing.runs(three.root)] == [A, B, C]


def test_a_store_that_cannot_be_listed_says_so(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("x")
    with pytest.raises(HarnessError, match="cannot read the store"):
        list(Store(tmp_path).runs())
    assert list(Store(tmp_path / "absent").runs()) == []


def test_one_damaged_run_does_not_hide_the_others(store: Path) -> None:
    first, second = (run.run_id for run in Store(store).runs())
    (store / "runs" / first / "result.json").write_bytes(b"{")
    rows = {row["run_id"]: row for row in listing.runs(store)}
    assert rows[first]["status"] == "damaged"
    assert "result.json" in rows[first]["reason"]
    assert rows[second]["status"] == "finished"
    Folder(store / "runs" / first).write("result.json", {"metrics": "of another program"})
    assert [row["status"] for row in listing.runs(store)] == ["damaged", "finished"]
    (store / "runs" / first / "result.json").unlink()
    (store / "runs" / first / "result.json").mkdir()
    assert [row["status"] for row in listing.runs(store)] == ["damaged", "finished"]


# --- keeping


def test_setting_aside_keeps_the_old_and_frees_its_name(folder: Folder, tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.set_aside(folder)
    folder.write("result.json", {"number": 2})
    second = store.set_aside(folder)
    assert [path.name for path in (first, second) if path] == [f"{A}~1", f"{A}~2"]
    assert store.set_aside(folder) is None
    assert Folder(tmp_path / "runs" / f"{A}~1").read("result.json") == RECORD
    assert Folder(tmp_path / "runs" / f"{A}~2").read("result.json") == {"number": 2}
    assert [run.superseded for run in store.runs()] == [True, True]
    assert store.find(f"{A}~1").run_id == f"{A}~1"
    with pytest.raises(RequestError):
        store.find(A)


def test_what_cannot_be_set_aside_stays(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("os.rename", fail_with_no_space)
        with pytest.raises(HarnessError, match=rf"cannot set .*{A} aside: No space left"):
            Store(tmp_path).set_aside(folder)
    assert folder.read("result.json") == RECORD


def test_a_run_keeps_the_checkpoint_that_it_tested_when_its_training_is_forced_anew(store: Path) -> None:
    where = Store(store)
    for run in where.runs():
        assert where.training_of(run).validations()
    (old,) = where.trainings()
    aside = where.set_aside(old)
    shutil.copytree(store / "trainings" / f"{old.path.name}~1", old.path)
    summary = old.read("training.json")
    old.write("training.json", summary | {"checkpoint_sha256": "of other weights"})
    for run in where.runs():
        assert where.training_of(run).path == aside


def test_a_run_whose_checkpoint_is_gone_says_so(store: Path) -> None:
    where = Store(store)
    run = next(iter(where.runs()))
    shutil.rmtree(store / "trainings")
    with pytest.raises(DamagedRecord, match=f"no longer has the checkpoint that run {run.run_id} tested"):
        where.training_of(run)
    (run.path / "experiment.json").unlink()
    with pytest.raises(DamagedRecord, match=r"has no experiment\.json; it is not a whole run"):
        where.training_of(run)
    run.write("experiment.json", {"training_key": 3})
    with pytest.raises(DamagedRecord):
        where.training_of(run)


def test_a_checkpoint_that_was_changed_or_is_gone_is_damaged(store: Path) -> None:
    (training,) = Store(store).trainings()
    summary = training.read("training.json")
    path = training.check(summary)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedRecord, match="is not the checkpoint that was trained; its run's command"):
        training.check(summary)
    path.unlink()
    with pytest.raises(DamagedRecord, match="cannot read"):
        training.check(summary)


# --- locks


def held(store: Store, key: str = "key") -> bool:
    with store.lock(key, wait=0) as got:
        return got


def test_an_error_under_a_lock_frees_it_and_is_not_swallowed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.lock("key"):
        _ = 1 / 0
    assert held(store)


def test_a_store_that_cannot_be_locked_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*args: object, **options: object) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", read_only)
    with (
        pytest.raises(HarnessError, match="Read-only file system; choose a writable folder with --store or HARNESS_STORE"),
        Store(tmp_path).lock("key"),
    ):
        pytest.fail("a lock that is not there")


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path / "not" / "yet"])
def test_free_space_is_known_before_the_store_exists(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    assert Store(make(tmp_path)).free_bytes() > 0
