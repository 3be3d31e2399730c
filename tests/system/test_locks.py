"""A lock has one holder, whatever the file system does with `flock`, and a dead holder blocks nobody."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.maintenance import repair
from harness.store import Folder, Store
from harness.system import locks

KEY = "a" * 16


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come, and are missed, within a second instead of a minute."""
    monkeypatch.setattr(locks, "BEAT", 0.05)
    monkeypatch.setattr(locks, "PATIENCE", 0.6)
    monkeypatch.setattr(locks, "POLL", 0.01)


@pytest.fixture
def without_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no `flock`."""

    def none(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)


@pytest.fixture
def another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every acquisition is made on a kernel of its own, whose `flock` reaches no other: NFS without a lock service."""
    monkeypatch.setattr(fcntl, "flock", lambda *args: None)
    monkeypatch.setattr(locks, "kernel", lambda: os.urandom(4).hex())


def held(folder: Path) -> bool:
    with locks.hold(folder, KEY, wait=0) as lease:
        return lease is not None


def leave_behind(folder: Path, **changes: object) -> Path:
    """A lease whose holder died: nobody raises its count."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{KEY}.lease"
    record = {"token": "of the dead", "kernel": locks.kernel(), "flock": True, "pid": 1, "count": f"{7:012}"}
    path.write_text(json.dumps(record | changes))
    return path


@pytest.mark.parametrize("kind", ["flock", "without_flock", "another_machine"])
def test_one_holder_at_a_time(kind: str, tmp_path: Path, quickly: None, request: pytest.FixtureRequest) -> None:
    if kind != "flock":
        request.getfixturevalue(kind)
    inside, most, rounds = 0, 0, []
    counting = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        for _ in range(3):
            with locks.hold(tmp_path, KEY) as lease:
                assert lease is not None
                with counting:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.01)
                lease.check()
                with counting:
                    inside -= 1
                    rounds.append(1)

    threads = [threading.Thread(target=enter) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(rounds)) == (1, 15)
    assert [path.name for path in tmp_path.iterdir()] == [f"{KEY}.lock"]


@pytest.mark.parametrize("kind", ["without_flock", "another_machine"])
def test_a_living_holder_is_never_robbed_however_long_it_works(
    kind: str, tmp_path: Path, quickly: None, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(kind)
    with locks.hold(tmp_path, KEY) as lease:
        assert lease is not None
        got = threading.Event()

        def want() -> None:
            with locks.hold(tmp_path, KEY):
                got.set()

        thread = threading.Thread(target=want)
        thread.start()
        assert not got.wait(3 * locks.PATIENCE)
        lease.check()
        assert not held(tmp_path)
    assert got.wait(20)
    thread.join()


def test_on_one_kernel_a_dead_holder_s_lease_is_removed_at_once(tmp_path: Path) -> None:
    path = leave_behind(tmp_path)
    assert not locks.abandoned(path), "there is no lock file: nobody can tell"
    (tmp_path / f"{KEY}.lock").touch()
    assert locks.abandoned(path)
    assert path.exists(), "asking changes nothing"
    assert held(tmp_path)
    assert not path.exists()


@pytest.mark.parametrize("changes", [{"kernel": "of another machine"}, {"flock": False}])
def test_a_dead_holder_elsewhere_is_waited_for_once(changes: dict[str, Any], tmp_path: Path, quickly: None) -> None:
    leave_behind(tmp_path, **changes)
    assert not held(tmp_path), "it may be alive"
    told: list[str] = []
    with locks.hold(tmp_path, KEY, waiting=lambda: told.append("waiting")) as lease:
        assert lease is not None
    assert told == ["waiting"]


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"[1]", b"[" * 100_000, b'{"token": '])
def test_a_lease_that_is_torn_or_foreign_blocks_nobody_for_long(content: bytes, tmp_path: Path, quickly: None) -> None:
    (tmp_path / f"{KEY}.lease").write_bytes(content)
    with locks.hold(tmp_path, KEY) as lease:
        assert lease is not None
        lease.check()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def led_elsewhere(path: Path) -> None:
    """To what would be the lease of a dead process."""
    path.symlink_to(leave_behind(path.parent).rename(path.with_name("elsewhere")))


@pytest.mark.parametrize("make", [pipe, huge, dangling, led_elsewhere, Path.mkdir], ids=lambda make: make.__name__)
def test_what_is_no_lease_is_neither_waited_for_nor_followed(
    make: Callable[[Path], None], tmp_path: Path, quickly: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    store = Store(tmp_path)
    (folder := tmp_path / "locks").mkdir()
    make(path := folder / f"{KEY}.lease")
    (folder / f"{KEY}.lock").touch()
    assert not locks.abandoned(path)
    assert [one for one in repair.findings(store) if one.kind == "left over"] == []
    assert not held(folder), "it is treated as a torn one: its holder may be alive"
    with locks.hold(folder, KEY) as lease:
        assert lease is not None
        lease.check()
    assert not (folder / "nothing").exists()
    assert make is not led_elsewhere or (folder / "elsewhere").exists()


def test_clocks_and_host_names_change_nothing(tmp_path: Path, quickly: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with locks.hold(tmp_path, KEY) as lease:
        assert lease is not None
        for jump in (-1e9, 1e9):
            monkeypatch.setattr(time, "time", lambda jump=jump: 1.7e9 + jump)
            monkeypatch.setattr(time, "time_ns", lambda jump=jump: int(1.7e18 + jump * 1e9))
            monkeypatch.setattr(socket, "gethostname", lambda jump=jump: f"host{jump}")
            monkeypatch.setattr(os, "uname", lambda: pytest.fail("the name of the host"))
            assert not held(tmp_path)
            lease.check()
    assert held(tmp_path)


def test_a_holder_that_stood_still_writes_nothing_after_another_took_over(
    tmp_path: Path, quickly: None, another_machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    asleep, awake = Folder(tmp_path / "trainings" / KEY), Folder(tmp_path / "trainings" / KEY)
    monkeypatch.setattr(locks, "BEAT", 1000.0)  # it stands still
    with store.own(asleep):
        asleep.write("experiment.json", {"of": "the first"})
        with store.own(awake):
            awake.write("training.json", {"of": "the second"})
            for write in (lambda: asleep.write("training.json", {}), lambda: asleep.append("metrics.jsonl", {})):
                with pytest.raises(HarnessError, match="another took over its work"):
                    write()
            awake.append("metrics.jsonl", {"step": 1})
    assert awake.read("training.json") == {"of": "the second"}
    assert awake.lines("metrics.jsonl") == [{"step": 1}]
    assert sorted(os.listdir(awake.path)) == ["experiment.json", "metrics.jsonl", "training.json"]


def test_a_lease_that_cannot_be_written_is_an_error_and_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with (
            pytest.raises(HarnessError, match="No space left on device; choose a writable folder"),
            Store(tmp_path).lock(KEY),
        ):
            pytest.fail("a lock that is not there")
    assert os.listdir(tmp_path / "locks") == [f"{KEY}.lock"]
    assert held(tmp_path / "locks")


def _hold_until_killed(folder: Path, ready: Any) -> None:
    with locks.hold(folder, KEY):
        ready.send("torch" in sys.modules)
        time.sleep(600)


def test_a_process_excludes_others_until_it_is_killed_and_other_keys_stay_free(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_hold_until_killed, args=(tmp_path, there), daemon=True)
    process.start()
    assert here.recv() is False, "a lock needs no torch"
    assert not held(tmp_path)
    with locks.hold(tmp_path, "other", wait=0) as lease:
        assert lease is not None
    process.kill()
    process.join()
    assert (tmp_path / f"{KEY}.lease").exists()
    assert held(tmp_path)


def test_who_waited_for_a_lock_whose_file_was_removed_takes_the_new_one(tmp_path: Path) -> None:
    took, go = threading.Event(), threading.Event()

    def wait() -> None:
        with locks.hold(tmp_path, "k") as lease:
            assert lease is not None
            took.set()
            go.wait()

    with locks.hold(tmp_path, "k") as lease:
        assert lease is not None
        lease.remove = True
        asked = threading.Event()
        waiter = threading.Thread(target=lambda: (asked.set(), wait()))
        waiter.start()
        asked.wait()
    took.wait()
    try:
        with locks.hold(tmp_path, "k", wait=0) as other:
            assert other is None
    finally:
        go.set()
        waiter.join()
    assert (tmp_path / "k.lock").exists()
