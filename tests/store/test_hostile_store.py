"""A store from elsewhere cannot make a command read or write outside of it, and third parties stay out when told to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command
from study_cells import AtOnce, Lab

from harness.errors import HarnessError
from harness.store import DamagedRecord, Folder, Store, Training
from harness.tuning.confirm import statistics
from harness.variant import Variants
from reports import ablation
from reports.analysis import reading
from reports.page import Page
from reports.pages import folder

PAGE = Page("A report", (), ())
TINY = ["--preset", "tiny", "--no-plugins"]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the store that nothing may touch."""
    (folder := tmp_path / "outside").mkdir()
    (folder / "victim").write_text("mine\n")
    return folder


def untouched(outside: Path) -> bool:
    return [path.name for path in outside.rglob("*")] == ["victim"] and (outside / "victim").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["../x.json", "/etc/hostname", "a/../../x.json", "..", "", ".", "a\0b", "sub/x.json"])
def test_no_name_leads_out_of_a_folder(name: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "runs" / ("a" * 16))
    folder.write("x.json", {})
    for call in (folder.read, folder.lines, folder.digest):
        with pytest.raises(HarnessError):
            call(name)
    for write in (lambda: folder.write(name, {}), lambda: folder.append(name, {}), lambda: folder.write_bytes(name, b"")):
        with pytest.raises(HarnessError):
            write()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.json"]


@pytest.mark.parametrize("name", ["../../outside/victim", "/etc/hostname", "..", "", 3, None, "a\0b"])
def test_a_summary_cannot_name_a_checkpoint_elsewhere(name: object, tmp_path: Path, outside: Path) -> None:
    training = Training(tmp_path / "trainings" / ("a" * 16))
    training.write("training.json", {"seconds": 1.0, "warm_up_seconds": 0.0, "memory": {"host_peak_bytes": 1}})
    with pytest.raises(DamagedRecord, match=r"names a checkpoint outside its folder|is no name of a file|is not a file"):
        training.check(training.read("training.json") | {"checkpoint": name, "checkpoint_sha256": "0" * 64})
    assert untouched(outside)


def linked(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def made(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def beside_a_damaged_result(store: Path) -> Path:
    for result in (store / "runs").glob("*/result.json"):
        result.write_text("{")
    return made(store / "quarantine")


LINKS: dict[str, Callable[[Path], Path]] = {
    "the folder of runs": lambda store: store / "runs",
    "the folder of trainings": lambda store: store / "trainings",
    "the folder of locks": lambda store: store / "locks",
    "a run": lambda store: next(iter((store / "runs").iterdir())),
    "a training": lambda store: next(iter((store / "trainings").iterdir())),
    "a result": lambda store: next(iter((store / "runs").glob("*/result.json"))),
    "a log": lambda store: next(iter((store / "trainings").glob("*/metrics.jsonl"))),
    "a summary": lambda store: next(iter((store / "trainings").glob("*/training.json"))),
    "a checkpoint": lambda store: next(iter((store / "trainings").glob("*/best-*.safetensors"))),
    "a lock": lambda store: next(iter((store / "locks").iterdir())),
}
OF_ONE_COMMAND: dict[str, tuple[Callable[[Path], Path], list[list[str]]]] = {
    "the quarantine": (beside_a_damaged_result, [["run", *TINY], ["doctor", "--repair", "--no-plugins"]]),
    "the folder of studies": (
        lambda store: made(store / "studies"),
        [["study", "loss-weights", *TINY, "--trials", "1"], ["doctor", "--repair", "--no-plugins"]],
    ),
    "the folder of plans": (
        lambda store: made(store / "plans"),
        [["ablate", "--plan", "base,tta", "--seeds", "1", *TINY], ["doctor", "--repair", "--no-plugins"]],
    ),
    "the folder of jobs": (
        lambda store: made(store / "jobs"),
        [["ablate", "--plan", "base,tta", "--seeds", "1", *TINY, "--executor", "slurm", "--slurm", "cluster=local"]],
    ),
    "the report": (lambda store: made(store / "report"), [["report", "--no-plugins"]]),
}
"""What is linked, and the commands that would write there."""


@pytest.mark.parametrize("what", LINKS)
def test_links_lead_nowhere(what: str, harness: Command, quick: None, store: Path, outside: Path) -> None:
    """With a link in the place of each, commands that read and commands that write leave what it points to alone."""
    place = LINKS[what](store)
    linked(place, outside if place.is_dir() else outside / "victim")
    run_id = "0" if what == "the folder of runs" else sorted(os.listdir(store / "runs"))[0]
    for words in (["list", "runs"], ["show", run_id], ["run", *TINY, "--force"], ["run", *TINY, "--seed", "7"]):
        answer = harness(*words, "--store", store)
        assert answer.code in (0, 1, 2)
        assert "Traceback" not in answer.err
        assert untouched(outside), words


@pytest.mark.parametrize("what", OF_ONE_COMMAND)
def test_no_command_writes_or_moves_anything_behind_a_link(
    what: str, harness: Command, quick: None, store: Path, outside: Path
) -> None:
    make, commands = OF_ONE_COMMAND[what]
    linked(make(store), outside)
    for words in commands:
        answer = harness(*words, "--store", store)
        assert answer.code in (1, 2), words
        assert "is a link" in answer.error
        assert untouched(outside), words


@pytest.mark.parametrize("name", ["nothing", "victim"])
def test_a_lock_that_is_a_link_is_named_and_makes_no_file(name: str, harness: Command, store: Path, outside: Path) -> None:
    for lock in (store / "locks").glob("*.lock"):
        linked(lock, outside / name)
    answer = harness("run", *TINY, "--force", "--store", store)
    assert answer.code == 1
    assert "is not a file but a link" in answer.error
    assert harness("doctor", "--no-plugins", "--store", store).code == 0
    assert untouched(outside)


@pytest.mark.parametrize("kind", ["plans", "studies", "trainings"])
def test_what_lies_behind_a_link_is_not_set_aside(kind: str, tmp_path: Path, outside: Path) -> None:
    """A foreign record there is damage by every sign, and somebody's file."""
    store = Store(tmp_path / "store")
    (store.root / "trainings").mkdir(parents=True)
    place = store.root / kind / ("a" * 16) if kind == "trainings" else store.root / kind
    linked(place, outside)
    with pytest.raises(DamagedRecord, match="is a link, so"):
        store.quarantine(place / "victim", "no record of ours")
    assert untouched(outside)


def test_an_unfinished_training_is_not_continued_through_a_link(
    harness: Command, quick: None, store: Path, outside: Path
) -> None:
    training = next(iter((store / "trainings").iterdir()))
    (training / "training.json").unlink()
    for run in (store / "runs").iterdir():
        (run / "result.json").unlink()
    for name in ("last.safetensors", "metrics.jsonl"):
        shutil.copytree(store, copy := store.parent / f"copy-{name}")
        linked(copy / "trainings" / training.name / name, outside / "victim")
        answer = harness("run", *TINY, "--store", copy)
        assert answer.code in (0, 1)
        assert untouched(outside)
        if name == "last.safetensors":
            assert "is not a file but a link" in answer.err


def test_a_storage_cannot_name_a_lock_outside(tmp_path: Path, outside: Path) -> None:
    with contextlib.closing(Lab(tmp_path / "store")) as lab:
        lab.search(trials=3).run(AtOnce())
    with sqlite3.connect(tmp_path / "store" / "studies" / "optuna.sqlite3") as connection:
        mark = {"owner": "../../outside/lock", "host": socket.gethostname(), "number": 1, "run_ids": []}
        connection.execute("UPDATE trials SET state = 'RUNNING' WHERE number = 1")
        connection.execute("UPDATE trial_user_attributes SET value_json = ? WHERE key = 'harness'", (json.dumps(mark),))
    with (
        contextlib.closing(Lab(tmp_path / "store")) as lab,
        pytest.raises(HarnessError, match="is not one that this program"),
    ):
        lab.search(trials=4).run(AtOnce())
    assert untouched(outside)


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "..", "a/b", "a\0b", "-x", "x" * 200])
def test_a_study_cannot_be_named_out_of_the_store(name: str, harness: Command, tmp_path: Path, outside: Path) -> None:
    words = ["study", "loss-weights", *TINY, "--store", tmp_path / "store", f"--study-name={name}"]
    assert harness(*words).code == 2
    assert untouched(outside)


def test_a_reports_list_of_files_removes_nothing_of_others(tmp_path: Path, outside: Path) -> None:
    (out := tmp_path / "report").mkdir()
    names = [
        "../outside/victim",
        str(outside / "victim"),
        "tables/../../outside/victim",
        "figures/x.svg/../../../outside/victim",
    ]
    (out / folder.MANIFEST).write_text(json.dumps({"files": names}))
    assert folder._manifest(out) == set()
    assert untouched(outside)


@pytest.mark.parametrize("name", folder.FOLDERS)
def test_a_report_is_not_written_through_a_link_in_its_folder(name: str, tmp_path: Path, outside: Path) -> None:
    """What it lists there as its own is somebody's file, to be replaced or removed by no report."""
    (out := tmp_path / "report").mkdir()
    (out / name).symlink_to(outside)
    (outside / "victim").rename(listed := outside / "mine.png")
    (out / folder.MANIFEST).write_text(json.dumps({"files": [f"{name}/mine.png"]}))
    with pytest.raises(HarnessError, match=f"its {name} is a link"):
        folder.write(PAGE, out)
    assert sorted(path.name for path in out.iterdir()) == sorted([name, folder.MANIFEST])
    listed.rename(outside / "victim")
    assert untouched(outside)


def test_a_report_may_be_written_where_a_link_of_the_users_own_leads(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "mine").symlink_to(outside)
    folder.write(PAGE, tmp_path / "mine")
    assert (outside / "index.html").exists()
    assert (outside / "victim").read_text() == "mine\n"


def test_a_report_waits_for_no_pipe_and_reads_no_endless_list(tmp_path: Path) -> None:
    os.mkfifo(listing := tmp_path / folder.MANIFEST)
    assert folder._manifest(tmp_path) == set()
    listing.unlink()
    with listing.open("wb") as file:
        file.truncate(10**12)
    assert folder._manifest(tmp_path) == set()
    os.mkfifo(data := tmp_path / reading.DATA_FILE)
    with pytest.raises(HarnessError, match="it is not a file"):
        ablation.build(Store(tmp_path), Variants(third_party=False), tmp_path)
    with pytest.raises(HarnessError, match="but a pipe"):
        reading.read_document(data)


# --- third parties


STUDY_FILE = """
from harness.studies import Float, Study
STUDY = Study(name="mine", summary="s", owns=(), space=lambda e, o: {"x": Float(low=0, high=1)}, to_settings=lambda p, e: {})
"""


def test_without_plugins_no_third_party_code_runs(
    harness: Command, quick: None, store: Path, tmp_path: Path, fake_distribution: Callable[..., Path]
) -> None:
    """A distribution whose import leaves a mark provides a plugin of every kind: `--no-plugins` keeps it out everywhere."""
    mark = tmp_path / "imported"
    groups = {
        f"harness.{kind}": {"theirs": "their_module:VALUE"} for kind in ("variants", "studies", "reports", "statistics")
    }
    fake_distribution("their_module", f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nVALUE = 1\n", groups)
    run_id = sorted(os.listdir(store / "runs"))[0]
    where = ["--store", store, "--no-plugins"]
    commands = [
        *(["list", what, *where] for what in ("variants", "studies", "reports", "runs")),
        ["run", "--preset", "tiny", *where],
        ["ablate", "--plan", "base,tta", "--seeds", "1", "--preset", "tiny", *where],
        ["study", "loss-weights", "--preset", "tiny", "--trials", "1", *where],
        ["predict", run_id, "--out", tmp_path / "x.png", *where],
        ["report", *where],
        ["compare", store, store, "--no-plugins"],
        ["doctor", *where],
    ]
    for words in commands:
        answer = harness(*words)
        assert answer.code == 0, answer.err
        assert "theirs" not in answer.out
        assert not mark.exists(), words
    assert callable(statistics(third_party=False))  # what --confirm compares with
    assert not mark.exists()
    listed = harness("list", "variants", "--json").document["variants"]
    assert {"their_module 1.0"} == {row["origin"] for row in listed if row["name"] == "theirs"}
    assert mark.exists()
    (tmp_path / "mine.py").write_text(STUDY_FILE)
    rows = harness("list", "studies", "--plugin", tmp_path / "mine.py", "--json").document["studies"]
    assert [row["origin"] for row in rows if row["name"] == "mine"] == [str(tmp_path / "mine.py")]
    assert [row["error"] for row in rows if row["name"] == "theirs"] == ["their_module:VALUE is a int, not a Study"]
    for what in ("variants", "studies", "reports"):
        assert all(row["origin"] for row in harness("list", what, "--json").document[what])
