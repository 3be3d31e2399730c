"""Finished runs in one file: read, answered and judged as before; nothing is lost however a pack ends."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command
from fake_store import cell, without_sync, write_run

from harness.errors import RequestError
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.runs.request import Request
from harness.store import Store, Training
from harness.store.bundle import import_bundle
from harness.store.packing import pack, unpack
from harness.variant import Variants


def content(root: Path) -> dict[str, str]:
    """Place -> digest of the bytes of every file of runs and trainings, wherever they lie."""
    store = Store(root)
    found = {}
    for folder in (*store.runs(), *store.trainings()):
        for name in folder.names():
            with folder.present(name) as file:
                found[f"{folder.path.parent.name}/{folder.path.name}/{name}"] = hashlib.sha256(file.read()).hexdigest()
    return found


def inodes(root: Path) -> int:
    return sum(1 for _ in root.rglob("*"))


def cell_of(variant: str = "base") -> tuple[object, object]:
    return Request(preset="tiny").cell(Variants(third_party=False), variant, 0)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Three finished runs without weights, and the locks that writing them takes."""
    root = tmp_path / "records"
    with without_sync():
        for seed in range(3):
            made = cell("base", seed, "tiny")
            write_run(root, made)
            for key in (made.run_id, made.training_key):
                with Store(root).lock(key):
                    pass
    return root


def test_a_packed_store_holds_the_same_and_takes_a_file_where_it_took_hundreds(records: Path) -> None:
    before, many = content(records), inodes(records)
    done = pack(Store(records))
    assert (done.runs, done.trainings, done.left) == (3, 3, {})
    assert done.files == len(before)
    assert content(records) == before
    folders = sum(1 for kind in ("runs", "trainings") for _ in (records / kind).iterdir())
    assert folders == 0
    assert many - inodes(records) > len(before)
    assert sorted(path.name for path in (records / "packs").iterdir()) == ["000001.zip"]
    assert unpack(Store(records)).runs == 3
    assert content(records) == before
    assert not any((records / "packs").iterdir())


def test_every_reader_reads_a_pack(store: Path, harness: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STORE", str(store))
    run_id = next(Store(store).runs()).run_id

    def answers(out: Path) -> list[object]:
        assert harness("doctor").code == 0
        assert harness("frame", "--format", "csv", "--out", out).code == 0
        assert harness("report", "--out", out / "report").code == 0
        tables = {path.name: path.read_bytes() for path in (*out.glob("*.csv"), *out.glob("report/tables/*.csv"))}
        return [harness("list", "runs", "--json").document, harness("show", run_id, "--json").document, tables]

    before = answers(store.parent / "before")
    pack(Store(store))
    assert not (store / "runs" / run_id).exists()
    assert answers(store.parent / "after") == before


def test_a_packed_run_answers_the_same_request_and_stays_packed(store: Path) -> None:
    pack(Store(store))
    made, source = cell_of()
    outcome = run_cell(made, Store(store), source)  # type: ignore[arg-type]
    assert outcome.cached
    assert not outcome.path.exists()


def test_what_needs_the_weights_or_writes_brings_its_folder_back(store: Path) -> None:
    before = content(store)
    pack(Store(store))
    (training,) = Store(store).trainings()
    path = training.check(training.read("training.json"))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before[f"trainings/{training.key}/{path.name}"]
    assert content(store) == before
    made, source = cell_of()
    run_cell(made, Store(store), source, context=Context(force=True))  # type: ignore[arg-type]
    names = {folder.path.name for folder in Store(store).trainings()}
    assert names == {training.key, f"{training.key}~1"}
    aside = Training(store / "trainings" / f"{training.key}~1")
    assert {name: hashlib.sha256((aside.path / name).read_bytes()).hexdigest() for name in aside.names()} == {
        place.rpartition("/")[2]: digest for place, digest in before.items() if place.startswith("trainings/")
    }
    new = content(store)
    pack(Store(store))
    assert content(store) == new


def test_a_damaged_file_of_a_pack_is_named_and_made_again(store: Path, harness: Command) -> None:
    pack(Store(store))
    made, source = cell_of()
    archive = store / "packs" / "000001.zip"
    whole = bytearray(archive.read_bytes())
    at = whole.index(f"runs/{made.run_id}/result.json".encode()) + 60  # type: ignore[attr-defined]
    whole[at : at + 40] = bytes(40)
    archive.write_bytes(whole)
    answer = harness("doctor", "--store", store)
    assert answer.code == 1
    assert f"runs/{made.run_id}" in answer.out + answer.err  # type: ignore[attr-defined]
    outcome = run_cell(made, Store(store), source)  # type: ignore[arg-type]
    assert not outcome.cached
    assert Store(store).run(made).read("result.json")["status"] == "finished"  # type: ignore[arg-type]


def test_a_pack_is_a_bundle_that_another_store_imports(records: Path, tmp_path: Path) -> None:
    before, done = content(records), pack(Store(records))
    assert done.path is not None
    import_bundle(Store(tmp_path / "other"), done.path)
    assert content(tmp_path / "other") == before


def test_unfinished_damaged_and_foreign_ones_stay_in_their_folders(records: Path) -> None:
    first, second, third = Store(records).runs()
    (first.path / "result.json").unlink()
    (second.path / "result.json").write_text("{")
    (third.path / "notes.txt").write_text("mine")
    done = pack(Store(records))
    assert done.runs == 0
    assert {where.partition("/")[2]: reason.split()[0] for where, reason in done.left.items()} == {
        first.run_id: "not",
        second.run_id: "damaged:",
        third.run_id: "holds",
    }


def test_nobody_packs_while_a_process_works(records: Path) -> None:
    with Store(records).lock("a" * 16), pytest.raises(RequestError, match="a process works in"):
        pack(Store(records))


CALLS = ("rename", "replace", "unlink", "rmdir", "open", "write", "fsync")


def _killed(root: Path, act: Callable[[Store], object], at: int) -> None:
    """Does it in this process, which is killed before its call number `at` that changes the disk."""
    count = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*given: object, **more: object) -> object:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **more)

        return wrapped

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    act(Store(root))


@pytest.mark.parametrize("act", [pack, unpack])
def test_killed_at_any_call_nothing_is_lost(records: Path, tmp_path: Path, act: Callable[[Store], object]) -> None:
    for folder in (*list(Store(records).runs())[1:], *list(Store(records).trainings())[1:]):
        shutil.rmtree(folder.path)
    before = content(records)
    if act is unpack:
        pack(Store(records))
    context = multiprocessing.get_context("fork")
    at, killed = 1, 0
    while True:
        root = tmp_path / str(at)
        shutil.copytree(records, root)
        process = context.Process(target=_killed, args=(root, act, at))
        process.start()
        process.join()
        assert content(root) == before, f"after {at} calls"
        with without_sync():
            pack(Store(root))
            assert content(root) == before, f"packed again after {at} calls"
            unpack(Store(root))
        assert content(root) == before, f"unpacked after {at} calls"
        shutil.rmtree(root)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed, at = killed + 1, at + 5
    assert killed >= 10
