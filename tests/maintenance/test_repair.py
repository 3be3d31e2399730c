"""Whatever is wrong with a store's files: it is named, kept, never used; the same command or `doctor --repair` repairs it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from study_cells import AtOnce, Lab

from harness.ablation.plan import Ablation
from harness.ablation.runner import Runner
from harness.errors import HarnessError
from harness.maintenance import repair
from harness.runs.cell import run_cell
from harness.runs.request import Request
from harness.store import FORMAT, DamagedRecord, Folder, NewerFormat, Store, Training
from harness.variant import Variants
from reports.analysis.reading import read_store

INSTALLED = Variants(third_party=False)

Spoil = Callable[[Path, Path], None]


def truncate(path: Path, other: Path) -> None:
    """Within a line: half of a log of two lines can be a whole one, after which nothing is damaged."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def flip(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def empty(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path, other: Path) -> None:
    """The file of that kind of another cell."""
    shutil.copy(other, path)


def replace_with_a_folder(path: Path, other: Path) -> None:
    path.unlink()
    path.mkdir()


def foreign(path: Path, other: Path) -> None:
    """Another program's file: JSON in the place of JSON, else a picture."""
    path.write_bytes(b'{"name": "package", "format": 2}\n' if path.suffix == ".json" else b"\x89PNG\r\n\x1a\n" + bytes(99))


SPOILS: list[Spoil] = [truncate, flip, empty, swap, foreign, replace_with_a_folder]
FILES = [
    *(f"runs/{name}" for name in ("result.json", "experiment.json", "environment.json", "sequences.json")),
    *(f"trainings/{name}" for name in ("training.json", "experiment.json", "environment.json", "metrics.jsonl")),
    *(f"trainings/{name}" for name in ("last.safetensors", "best")),
]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two finished cells of two trainings each."""
    from harness.evaluation import cost as measure

    root = tmp_path_factory.mktemp("two") / "store"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(measure, "median_seconds", lambda once, seconds, **options: once() or 1.0)
        for seed in (0, 1):
            cell, source = Request(preset="tiny").cell(INSTALLED, "base", seed)
            run_cell(cell, Store(root), source)
    return root


def file_of(root: Path, name: str, seed: int) -> Path:
    cell, _ = Request(preset="tiny").cell(INSTALLED, "base", seed)
    kind, _, file = name.partition("/")
    folder = root / kind / (cell.run_id if kind == "runs" else cell.training_key)
    return next(folder.glob("best-*")) if file == "best" else folder / file


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def numbers(store: Store) -> list[Any]:
    names = ("metrics", "metrics_per_frame", "baselines")
    return [[run.read("result.json")[name] for name in names] + [run.read("sequences.json")] for run in store.runs()]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("name", FILES)
def test_what_is_damaged_is_named_kept_and_repaired(
    name: str, spoil: Spoil, two: Path, tmp_path: Path, quick: None, harness: Command
) -> None:
    store = Store(Path(shutil.copytree(two, tmp_path / "store")))
    path = file_of(store.root, name, 0)
    spoil(path, file_of(store.root, name, 1))
    before = snapshot(store.root)

    (found,) = (one for one in repair.findings(store) if one.kind == "damaged")
    assert path == found.path or found.path in path.parents
    assert str(path) in found.reason or str(path.parent) in str(found.path)
    assert {name: content for name, content in snapshot(store.root).items() if "locks" not in name} == {
        name: content for name, content in before.items() if "locks" not in name
    }

    for _ in range(3):  # a result, and then the training that it hung on
        cell, source = Request(preset="tiny").cell(INSTALLED, "base", 0)
        run_cell(cell, store, source)
        repair.repair(store, INSTALLED, "cpu", None, lambda line: None)
        if not any(one.kind == "damaged" for one in repair.findings(store)):
            break
    else:
        pytest.fail(f"still damaged: {list(repair.findings(store))}")
    aside = list((store.root / "quarantine").iterdir())
    assert len(aside) == 1, aside
    assert json.loads((aside[0] / "why.json").read_bytes())["reason"]
    run_cell(cell, store, source)
    assert numbers(store) == numbers(Store(two))


# --- what holds no numbers: the records of plans and studies


def damaged(store: Store) -> list[Path]:
    return [one.path for one in repair.findings(store) if one.kind == "damaged"]


def run_plan(root: Path, plan: str) -> list[str]:
    """Runs a plan whose cells are finished; returns its notes."""
    notes: list[str] = []
    asked = Ablation(plan=plan, variants=("tta",), seeds=(0,), request=Request(preset="tiny"), third_party=False)
    rows = Runner(asked, Store(root), notes.append).run()
    assert all(row.cached for row in rows)
    return notes


def run_study(root: Path, name: str) -> list[str]:
    """Runs a study of three trials; returns its notes."""
    with contextlib.closing(Lab(root)) as lab:
        (search := lab.search(trials=3, study_name=name)).run(AtOnce())
        search.save()
    assert set(lab.trainings()) == {1}, "nothing is trained again"
    return lab.notes


RECORDS = {"plans": (run_plan, ("base,tta", "tta,base")), "studies": (run_study, ("one", "other"))}


@pytest.fixture(scope="module")
def with_records(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, str]]]:
    """By kind: a store with two records of that kind, and the files' names by what made them."""
    found = {}
    for kind, (make, names) in RECORDS.items():
        root = tmp_path_factory.mktemp(kind) / "store"
        if kind == "plans":
            shutil.copytree(tiny_store, root)
        files: dict[str, str] = {}
        for name in names:
            make(root, name)
            files[name] = next(path.name for path in (root / kind).glob("*.json") if path.name not in files.values())
        found[kind] = root, files
    return found


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("kind", RECORDS)
def test_a_plan_s_or_a_study_s_record_that_is_damaged_is_named_kept_and_written_again(
    kind: str, spoil: Spoil, with_records: dict[str, tuple[Path, dict[str, str]]], tmp_path: Path
) -> None:
    (make, (name, other)), (root, files) = RECORDS[kind], with_records[kind]
    store = Store(Path(shutil.copytree(root, tmp_path / "store")))
    path = store.root / kind / files[name]
    record = Folder(path.parent).read(path.name)
    spoil(path, path.with_name(files[other]))
    if kind == "plans":
        assert [one.where for one in read_store(store).troubles] == [f"plans/{path.name}"]

    copy = Store(Path(shutil.copytree(store.root, tmp_path / "copy")))
    twin = copy.root / kind / path.name
    assert damaged(copy) == [twin]
    assert damaged(copy) == [twin], "looking changes nothing"
    repair.repair(copy, INSTALLED, "cpu", None, lambda line: None)
    assert damaged(copy) == []
    assert not twin.exists()
    (aside,) = (copy.root / "quarantine").iterdir()
    assert str(twin) in json.loads((aside / "why.json").read_bytes())["reason"]
    assert (aside / path.name).is_dir() if path.is_dir() else (aside / path.name).read_bytes() == path.read_bytes()

    notes = make(store.root, name)
    assert [note for note in notes if "damaged" in note and str(path) in note and "quarantine" in note]
    whole = Folder(path.parent).read(path.name)
    assert whole == record if kind == "plans" else whole["trials"] == record["trials"]
    assert damaged(store) == []


def test_repair_tests_a_whole_training_again_and_trains_nothing(
    two: Path, tmp_path: Path, quick: None, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(Path(shutil.copytree(two, tmp_path / "store")))
    path = file_of(store.root, "runs/result.json", 1)
    flip(path, path)
    monkeypatch.setattr("harness.training.loop.fit", lambda *args, **options: pytest.fail("trained"))
    answer = harness("doctor", "--repair", "--store", store.root, "--json")
    assert answer.code == 0, answer.err
    assert [line.partition(": ")[2].split(" ")[0] for line in answer.document["repaired"]] == ["set", "tested"]
    assert numbers(store) == numbers(Store(two))
    assert "quarantined" in harness("doctor", "--store", store.root).out


def test_a_scored_run_is_named_with_the_command_that_makes_it_again(two: Path, tmp_path: Path, harness: Command) -> None:
    store = Store(Path(shutil.copytree(two, tmp_path / "store")))
    (tmp_path / "last.py").write_text(
        "def predict(inputs, horizon):\n    return inputs[:, -1:].repeat(1, horizon, 1, 1, 1)\n"
    )
    with contextlib.chdir(tmp_path):
        run = harness("score", "--predictor", "last:predict", "-p", "tiny", "--store", store.root, "--json").document[
            "runs"
        ][0]
        path = store.root / "runs" / run["run_id"] / "result.json"
        flip(path, path)
        answer = harness("doctor", "--repair", "--store", store.root, "--json")
        assert answer.code == 0, answer.err
        command = "harness score --predictor last:predict --name theirs --preset tiny --seed 0"
        (aside,) = answer.document["repaired"]
        assert aside.endswith(f"; `{command}` makes it again")
        assert harness("doctor", "--store", store.root).code == 0
        assert (
            harness(*command.split()[1:], "--store", store.root, "--json").document["runs"][0]["metrics"] == run["metrics"]
        )


def test_a_line_that_was_changed_is_passed_over_and_the_rest_kept(two: Path, tmp_path: Path) -> None:
    store = Store(Path(shutil.copytree(two, tmp_path / "store")))
    path = file_of(store.root, "trainings/metrics.jsonl", 0)
    training = Training(path.parent)
    whole = training.lines(path.name)
    first, rest = path.read_bytes().split(b"\n", 1)
    for changed in (first.replace(b'"step":', b'"stop":'), first.replace(b"0.", b"1.", 1), first[:-20], b"{}"):
        assert changed != first
        path.write_bytes(rest.split(b"\n")[0] + b"\n" + changed + b"\n" + rest)
        assert training.lines(path.name) == [whole[1], *whole[1:]]
    other = file_of(store.root, "trainings/metrics.jsonl", 1)
    path.write_bytes(other.read_bytes())
    assert training.lines(path.name) == [], "lines of another training"


def test_left_over_files_and_leases_are_found_and_removed(two: Path, tmp_path: Path) -> None:
    store = Store(Path(shutil.copytree(two, tmp_path / "store")))
    folder = file_of(store.root, "trainings/training.json", 0).parent
    stray = folder / f".last.safetensors.{'0a' * 6}.part"
    young, old = (store.root / "plans" / f".x.json.{part * 6}.part" for part in ("0b", "0c"))
    young.parent.mkdir()
    for path in (stray, young, old):
        path.write_bytes(b"half")
    unpacked = store.root / "runs" / f".{'d' * 16}.{'0d' * 6}.part"
    unpacked.mkdir()
    (unpacked / "result.json").write_bytes(b"half")
    for path in (old, unpacked):
        os.utime(path, (1, 1))
    (store.root / "locks" / f"{'d' * 16}.lock").touch()
    lease = store.root / "locks" / f"{'d' * 16}.lease"
    from harness.system import locks

    lease.write_text(json.dumps({"token": "x", "kernel": locks.kernel(), "flock": True, "pid": 1, "count": "0"}))
    assert {one.path for one in repair.findings(store) if one.kind == "left over"} == {stray, old, unpacked, lease}
    repair.repair(store, INSTALLED, "cpu", None, lambda line: None)
    assert [path.exists() for path in (stray, old, unpacked, lease, young)] == [False, False, False, False, True]


def test_what_a_process_is_writing_is_left_alone(two: Path, tmp_path: Path) -> None:
    store = Store(Path(shutil.copytree(two, tmp_path / "store")))
    path = file_of(store.root, "runs/result.json", 0)
    flip(path, path)
    under_way = path.with_name(f".result.json.{'0a' * 6}.part")
    under_way.write_bytes(b"half")
    with store.lock(path.parent.name):
        assert [one.kind for one in repair.findings(store)] == ["damaged"]
        finding = next(repair.findings(store))
        assert finding.fix is not None
        assert "another process works on it" in finding.fix()
    assert path.exists()


# --- formats


def test_a_newer_format_is_refused_and_left_alone(two: Path, tmp_path: Path, quick: None) -> None:
    """It is whole: to call it damaged would put a newer version's work into quarantine."""
    store = Store(Path(shutil.copytree(two, tmp_path / "store")))
    cell, source = Request(preset="tiny").cell(INSTALLED, "base", 0)
    for name, folder in (("result.json", store.run(cell)), ("training.json", store.training(cell))):
        with pytest.MonkeyPatch.context() as newer:
            newer.setattr("harness.store.formats.FORMAT", FORMAT + 1)
            folder.write(name, folder.read(name))
        before = snapshot(store.root)
        with pytest.raises(NewerFormat, match=rf"{name} has format {FORMAT + 1}; this version reads up to {FORMAT}"):
            folder.read(name)
        if name == "result.json":
            with pytest.raises(NewerFormat):
                run_cell(cell, store, source)
        repair.repair(store, INSTALLED, "cpu", None, lambda line: None)
        assert {k: v for k, v in snapshot(store.root).items() if "locks" not in k} == {
            k: v for k, v in before.items() if "locks" not in k
        }


def test_a_file_that_cannot_be_read_just_now_is_not_taken_for_damaged(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(Path(shutil.copytree(two, tmp_path / "store")))
    (training, *_) = store.trainings()
    summary = training.read("training.json")

    def broken(*args: object, **options: object) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.open", broken)
    for read in (lambda: training.read("training.json"), lambda: training.check(summary)):
        with pytest.raises(HarnessError, match="Input/output error") as refused:
            read()
        assert not isinstance(refused.value, DamagedRecord)
