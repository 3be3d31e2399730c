"""A store under new keys: nothing is lost, whatever write fails or whenever the migration is killed."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faults as fault_injection
import pytest
from commands import Command
from fake_store import without_sync

from harness.component import Component
from harness.errors import HarnessError, RequestError
from harness.experiment import canonical_json
from harness.maintenance import repair
from harness.maintenance.migration import Migration, migrate, rewrite
from harness.runs.request import run_command
from harness.store import FORMAT, DamagedRecord, Folder, Run, Store, Training
from harness.system import locks
from harness.version import REVISIONS

FORMATS = sorted((Path(__file__).parents[1] / "store" / "formats").iterdir())[:2]  # of one pair of keys
DONE, BEGUN, RUN = "df89dbf6b53523bf", "7b78f12ba87f9bf2", "a514d672809200e8"
TRAININGS = {DONE: "1" * 16, BEGUN: "2" * 16}
RUNS = {RUN: "3" * 16}


def upgraded(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return body | {"migrated": name}


def migrated(store: Store) -> Store:
    rewrite(store, TRAININGS, RUNS, upgraded)
    return store


def prepared(store: Store, source: Path = FORMATS[-1]) -> None:
    """Two trainings, one of them unfinished, a run, a superseded pair, a plan, a study, and a file of the user's."""
    shutil.copytree(source, store.root, dirs_exist_ok=True)
    for kind, key in (("trainings", DONE), ("runs", RUN)):
        shutil.copytree(store.root / kind / key, store.root / kind / f"{key}~2")
    (store.root / "runs" / RUN / "notes.txt").write_text("mine")
    Folder(store.root / "plans").write("p.json", {"cells": [{"run_id": RUN, "training_key": DONE}, {"run_id": "f" * 16}]})
    Folder(store.root / "studies").write("s.json", {"trials": [{"run_ids": [RUN]}], "name": "s"})


@pytest.fixture(autouse=True)
def quickly() -> Iterator[None]:
    """Power loss is not tested here."""
    with without_sync():
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (made := Store(tmp_path / "store")).root.mkdir()
    prepared(made)
    return made


def content(store: Store) -> dict[str, bytes]:
    paths = (path for path in store.root.rglob("*") if path.is_file() and "locks" not in path.parts)
    return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    prepared(store := Store(tmp_path_factory.mktemp("undisturbed") / "store"))
    return content(migrated(store))


@pytest.mark.parametrize("source", FORMATS, ids=lambda path: path.name)
def test_everything_is_whole_under_its_new_key_and_in_the_newest_format(source: Path, tmp_path: Path) -> None:
    prepared(store := Store(tmp_path / "store"), source)
    with (store.root / "trainings" / BEGUN / "metrics.jsonl").open("ab") as lines:
        lines.write(b'{"step": 30, "lo')
    (store.root / "runs" / f"{RUN}~2" / "sequences.json").write_text('{"damaged": ')
    old = {one.key: one.validations() for one in store.trainings()}
    result, sequences = (Run(store.root / "runs" / RUN).read(name) for name in ("result.json", "sequences.json"))
    migrated(store)
    assert [one.path.name for one in store.trainings()] == ["1" * 16, "1" * 16 + "~2", "2" * 16]
    assert [one.path.name for one in store.runs()] == ["3" * 16, "3" * 16 + "~2"]
    assert not (store.root / "migration").exists()
    for training in store.trainings():
        assert training.read("experiment.json")["migrated"] == "experiment.json"
        assert training.read("experiment.json")["training_key"] == training.key
        assert training.validations() == old[{new: key for key, new in TRAININGS.items()}[training.key]]
        for path in training.path.glob("*.safetensors"):
            assert training.check_checkpoint(path.name)["training"] == training.key
    run = store.find("3" * 16)
    training = store.training_of(run)
    assert training.check(training.read("training.json")).exists()
    now = run.read("result.json")
    assert now == result | {
        "run_id": "3" * 16,
        "training_key": "1" * 16,
        "training": result["training"] | {"checkpoint_sha256": training.read("training.json")["checkpoint_sha256"]},
        "migrated": "result.json",
    }
    assert run.read("sequences.json") == sequences | {"migrated": "sequences.json"}
    assert json.loads((run.path / "result.json").read_bytes())["format"] == FORMAT
    assert (run.path / "notes.txt").read_text() == "mine"
    cells = Folder(store.root / "plans").read("p.json")["cells"]
    assert cells == [{"run_id": "3" * 16, "training_key": "1" * 16}, {"run_id": "f" * 16}]
    assert Folder(store.root / "studies").read("s.json")["trials"] == [{"run_ids": ["3" * 16]}]
    torn = store.root / "trainings" / ("2" * 16) / "metrics.jsonl"
    assert torn.read_bytes().endswith(b'{"step": 30, "lo\n')
    damaged = [one.path.relative_to(store.root).as_posix() for one in repair.findings(store) if one.kind == "damaged"]
    assert damaged == [f"runs/{'3' * 16}~2", f"trainings/{'2' * 16}/metrics.jsonl"], "what was damaged before"
    assert (store.root / "runs" / ("3" * 16 + "~2") / "sequences.json").read_text() == '{"damaged": '


def test_a_migration_is_made_once(store: Store, expected: dict[str, bytes]) -> None:
    assert content(migrated(store)) == expected
    assert content(migrated(store)) == expected


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    with without_sync():
        found = fault_injection.sites(tmp_path_factory.mktemp("sites"), migrated, prepared)
    assert len(found) > 200
    return found


def test_every_write_may_fail_once(expected: dict[str, bytes], sites: list[str], tmp_path: Path) -> None:
    """The first call of each kind; `make torture` has every call fail."""
    numbers = sorted({site: number for number, site in reversed([*enumerate(sites, start=1)])}.values())
    assert len(numbers) > 40
    missed = fault_injection.fail_each(tmp_path, migrated, lambda store: content(store) == expected, numbers, prepared)
    assert missed == []


def test_it_may_be_killed_at_every_write(
    expected: dict[str, bytes], sites: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the last call of each kind."""
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    monkeypatch.setattr(fault_injection.os, "strerror", lambda number: os._exit(9))  # in the child: nothing cleans up
    for number in sorted({site: number for number, site in enumerate(sites, start=1)}.values()):
        prepared(store := Store(tmp_path / str(number)))
        if (child := os.fork()) == 0:
            with fault_injection.Faults(store.root).injected(number):
                migrated(store)
            os._exit(0)
        where = f"killed at write {number}, {sites[number - 1]}"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, where
        assert len(list(store.root.rglob("result.json"))) >= 2, where
        assert not [one for one in repair.findings(store) if one.kind == "damaged"], where
        assert content(migrated(store)) == expected, where
        shutil.rmtree(store.root)


def test_a_folder_that_another_command_changed_meanwhile_is_kept(
    store: Store, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Migration, "_switch", lambda self: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            migrated(store)
    time.sleep(0.02)
    Training(store.root / "trainings" / BEGUN).append("metrics.jsonl", {"step": 4})
    migrated(store)
    kept = {name for name in content(store) if name.startswith(f"trainings/{BEGUN}/")}
    assert kept
    assert {name: body for name, body in content(store).items() if name not in kept} == expected


def test_two_keys_that_become_one_keep_both_folders(store: Store) -> None:
    rewrite(store, dict.fromkeys(TRAININGS, "1" * 16), {RUN: RUN}, upgraded)
    assert [one.path.name for one in store.trainings()] == ["1" * 16, f"{'1' * 16}~1", f"{'1' * 16}~2"]
    assert [(one.path / "training.json").exists() for one in store.trainings()] == [True, False, True]
    run = store.find(RUN)
    assert run.read("result.json")["training_key"] == "1" * 16
    assert store.training_of(run).path.name == "1" * 16
    assert len(list(store.runs())) == 2


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({DONE: "../../x"}, "are not keys of trainings"),
        ({DONE: f"{'1' * 16}~1"}, "are not keys of trainings"),
        ({DONE: BEGUN, BEGUN: DONE}, "becomes .* itself"),
    ],
)
def test_keys_that_cannot_be_taken_are_refused_before_anything_is_written(
    keys: dict[str, str], told: str, store: Store
) -> None:
    before = content(store)
    with pytest.raises(HarnessError, match=told):
        rewrite(store, keys, {}, upgraded)
    assert content(store) == before


def test_a_store_at_work_is_refused(store: Store) -> None:
    before = content(store)
    with store.lock(BEGUN), pytest.raises(HarnessError, match=f"another process works on .*{BEGUN}; wait until"):
        migrated(store)
    assert content(store) == before


def test_a_journal_cannot_name_folders_elsewhere(store: Store, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    moves = {"trainings": {"../../victim": "1" * 16}, "runs": {}}
    Folder(store.root / "migration").write("journal.json", {"moves": moves})
    with pytest.raises(DamagedRecord, match="is no folder of a store"):
        migrated(store)
    assert (tmp_path / "victim").exists()


# --- what a migration is for


def of_today(root: Path, source: Path = FORMATS[-1]) -> Store:
    """A store of format 2 whose trainings are of today's revision, as the last version of that format wrote them."""
    shutil.copytree(source, root)
    for path in root.rglob("experiment.json"):
        body = json.loads(path.read_text())
        del body["sha256"]
        body["numerics"] = REVISIONS["training"]
        body["sha256"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
        path.write_text(json.dumps(body))
    return Store(root)


def test_a_migrated_store_answers_new_requests_without_training(tmp_path: Path, harness: Command, quick: None) -> None:
    store = of_today(tmp_path / "store")
    (run,) = store.runs()
    words = shlex.split(run_command(run.read("experiment.json")))[1:]
    before = run.read("result.json")["metrics"]
    assert harness("doctor", "--migrate", "--store", store.root).code == 0
    answer = harness(*words, "--store", store.root, "--json").document
    assert answer["cached"]
    assert answer["metrics"] == before
    assert harness("doctor", "--migrate", "--store", store.root, "--json").document["repaired"] == []


def test_what_an_older_revision_trained_does_not_answer_for_newer_code(
    tmp_path: Path, harness: Command, quick: None
) -> None:
    shutil.copytree(FORMATS[-1], tmp_path / "store")
    store = Store(tmp_path / "store")
    (run,) = store.runs()
    words = shlex.split(run_command(run.read("experiment.json")))[1:]
    assert harness("doctor", "--migrate", "--store", store.root).code == 0
    assert not harness(*words, "--store", store.root, "--json").document["cached"]


def test_a_store_of_an_older_format_is_read_without_being_migrated(tmp_path: Path, harness: Command) -> None:
    store = of_today(tmp_path / "store")
    (run,) = store.runs()
    assert run.run_id in harness("list", "runs", "--store", store.root).out
    assert harness("show", run.run_id, "--store", store.root, "--json").document["experiment"]["architecture"]["name"]
    assert harness("report", "--store", store.root, "--out", tmp_path / "report").code == 0
    assert harness("compare", store.root, tmp_path / "report").code == 0


def test_what_needs_a_plugin_that_is_not_there_is_left_as_it_is(tmp_path: Path) -> None:
    store = of_today(tmp_path / "store")
    said: list[str] = []

    def find(slot: str, name: str) -> type[Component]:
        raise RequestError(f"unknown component {name!r}")

    before = content(store)
    assert migrate(store, find, said.append) == []
    assert content(store) == before
    assert len(said) == 3
    assert all("is left as it is" in line for line in said)
