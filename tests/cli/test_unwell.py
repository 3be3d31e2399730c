"""A store that is not well: a file in its place, a full disk, damaged records. Nothing stored is lost."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import Command, contents, refused

from harness.store import Store


def test_a_store_that_is_a_file_is_refused_by_every_command(harness: Command, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    for words in (("run", "--preset", "tiny"), ("list", "runs"), ("show", "a"), ("predict", "a"), ("doctor",)):
        answer = harness(*words, "--store", file)
        refused(answer, f"the store {file} is a file, not a folder; choose another with --store or HARNESS_STORE")
    assert file.read_text() == "precious"


def test_a_store_that_is_not_there_is_empty(harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "typo"))
    assert harness("list", "runs").out.startswith(f"no runs in {tmp_path / 'typo'}; `harness run`")
    assert harness("list", "runs", "--json").document == {"runs": []}
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "os.write"])
def test_a_full_disk_is_one_line_and_nothing_stored_is_lost(
    harness: Command, unharmed: Path, monkeypatch: pytest.MonkeyPatch, call: str, quick: None
) -> None:
    def full(*args: object, **options: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    words = ("run", "--preset", "tiny", "--seed", 9, "--store", unharmed, "--json")
    with monkeypatch.context() as patched:
        patched.setattr(call, full)
        refused(harness(*words), "cannot write", "No space left on device", "HARNESS_STORE", code=1)
    if call == "os.fsync":
        assert harness(*words).code == 0


def test_a_store_that_cannot_be_written_still_answers_what_it_has(
    harness: Command, unharmed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(unharmed / "locks")
    (unharmed / "locks").write_text("in the way")
    assert harness("run", "--preset", "tiny", "--store", unharmed, "--json").document["cached"] is True
    answer = harness("run", "--preset", "tiny", "--seed", 9, "--store", unharmed, "--json")
    refused(answer, f"cannot write to the store {unharmed}", "--store or HARNESS_STORE", code=1)
    (unharmed / "locks").unlink()


@pytest.mark.parametrize("content", [b"", b'{"metrics": {"ssim": 0.99}}', b"\x80\x04.", None])
def test_a_damaged_result_is_named_by_who_reads_and_made_again_by_who_runs(
    harness: Command, store: Path, content: bytes | None, quick: None
) -> None:
    base = harness("run", "--preset", "tiny", "--store", store, "--json").document
    path = Path(base["path"], "result.json")
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    damaged, spoilt = path.read_bytes(), contents(store)
    refused(harness("show", base["run_id"], "--store", store, "--json"), str(path), code=1)
    listed = harness("list", "--store", store)
    assert listed.code == 0
    assert {row.split()[0] for row in listed.out.splitlines()[1:]} == set(os.listdir(store / "runs"))
    assert f"{base['run_id']}: {path} is" in listed.err
    doctor = harness("doctor", "--store", store, "--json")
    assert doctor.code == 1
    assert [check["name"] for check in doctor.document["checks"] if not check["ok"]] == ["records"]
    assert contents(store) == spoilt, "who only reads changes nothing"

    again = harness("run", "--preset", "tiny", "--store", store, "--json")
    assert (again.code, again.document["cached"]) == (0, False)
    assert again.document["metrics"] == base["metrics"]
    assert str(path) in again.err
    (aside,) = (store / "quarantine").glob("*/*/result.json")
    assert aside.read_bytes() == damaged
    assert harness("run", "--preset", "tiny", "--store", store, "--json").document["cached"]
    assert harness("doctor", "--store", store).code == 0


def test_force_gets_past_a_damaged_record_and_keeps_it(harness: Command, store: Path, quick: None) -> None:
    base = harness("run", "--preset", "tiny", "--store", store, "--json").document
    path = Path(base["path"], "result.json")
    path.write_bytes(b"precious?")
    (training,) = Store(store).trainings()
    forced = harness("run", "--preset", "tiny", "--store", store, "--force", "--json").document
    assert forced["metrics"] == base["metrics"]
    assert Path(base["path"] + "~1", "result.json").read_bytes() == b"precious?"
    assert training.path.with_name(training.path.name + "~1").is_dir()


def test_a_damaged_checkpoint_is_never_evaluated_and_trained_again(harness: Command, store: Path, quick: None) -> None:
    base = harness("run", "--preset", "tiny", "--store", store, "--json").document
    Path(base["path"], "result.json").unlink()
    (training,) = Store(store).trainings()
    checkpoint = training.check(training.read("training.json"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    answer = harness("run", "--preset", "tiny", "--store", store, "--json")
    assert str(checkpoint) in answer.err
    assert (answer.document["cached"], answer.document["metrics"]) == (False, base["metrics"])
    (aside,) = (store / "quarantine").glob(f"*/*/{checkpoint.name}")
    assert aside.stat().st_size == 100
