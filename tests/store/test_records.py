"""Records and lines are whole and belong where they are, or they are named as damaged; a failed write changes nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from records_of_stores import RECORD, fail_with_no_space

from harness.errors import HarnessError
from harness.store import DamagedRecord, Folder, Training, records

A, B = "a" * 16, "ab" * 8

# --- writing


def test_a_record_comes_back_as_it_was_written(folder: Folder) -> None:
    assert folder.read("result.json") == RECORD
    assert folder.read_or_none("other.json") is None
    with pytest.raises(FileNotFoundError):
        folder.read("other.json")


def test_nan_and_infinities_become_null_wherever_they_stand(folder: Folder) -> None:
    folder.write("x.json", {"a": float("nan"), "b": [1.0, float("inf"), (float("-inf"), {"c": float("nan")})], "d": 1e308})
    assert folder.read("x.json") == {"a": None, "b": [1.0, None, [None, {"c": None}]], "d": 1e308}
    json.loads((folder.path / "x.json").read_text(), parse_constant=lambda word: pytest.fail(word))


@pytest.mark.parametrize("place", ["os.open", "os.write", "os.fsync", "os.replace"])
def test_a_disk_that_is_full_leaves_the_old_record_and_no_litter(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    before = sorted(os.listdir(folder.path))
    with monkeypatch.context() as patched:
        patched.setattr(place, fail_with_no_space)
        with pytest.raises(HarnessError) as failed:
            folder.write("result.json", {"metrics": "new"})
    assert str(folder.path / "result.json") in str(failed.value)
    assert "No space left on device" in str(failed.value)
    assert "run the same command again" in str(failed.value)
    assert failed.value.exit_code == 1
    assert sorted(os.listdir(folder.path)) == before
    assert folder.read("result.json") == RECORD


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_write_that_fails_half_way_leaves_the_old_record(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write

    def then_the_device_is_full(handle: int, content: Any) -> int:
        if len(content) > 1000:
            return whole(handle, content[:1000])
        os.dup2(os.open("/dev/full", os.O_WRONLY), handle)
        return whole(handle, content)

    with monkeypatch.context() as patched:
        patched.setattr("os.write", then_the_device_is_full)
        with pytest.raises(HarnessError, match="No space left"):
            folder.write("result.json", {"metrics": "x" * 3000})
    assert os.listdir(folder.path) == ["result.json"]
    assert folder.read("result.json") == RECORD


def test_an_interrupted_write_leaves_no_litter(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            folder.write("result.json", {})
    assert os.listdir(folder.path) == ["result.json"]


def test_a_file_system_that_cannot_sync_a_folder_is_no_failure(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.fsync

    def files_only(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        whole(handle)

    monkeypatch.setattr("os.fsync", files_only)
    folder.write("result.json", {"a": 1})
    assert folder.read("result.json") == {"a": 1}


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a folder")
    with pytest.raises(HarnessError, match=r"cannot write .*result\.json"):
        Folder(tmp_path / "runs" / A).write("result.json", {})
    with pytest.raises(HarnessError, match=r"cannot read .*result\.json"):
        Folder(tmp_path / "runs" / A).read("result.json")
    assert (tmp_path / "runs").read_text() == "not a folder"


# --- reading what is not whole


def damaged(folder: Folder, content: bytes) -> str:
    (folder.path / "result.json").write_bytes(content)
    with pytest.raises(DamagedRecord) as refused:
        folder.read_or_none("result.json")
    message = str(refused.value)
    assert str(folder.path / "result.json") in message
    assert "\n" not in message
    return message


def test_a_record_cut_short_anywhere_is_damaged(folder: Folder) -> None:
    whole = (folder.path / "result.json").read_bytes()
    for length in range(len(whole.rstrip())):
        damaged(folder, whole[:length])


def test_a_record_with_any_bit_flipped_is_damaged_or_means_the_same(folder: Folder) -> None:
    whole = (folder.path / "result.json").read_bytes()
    for position in range(len(whole)):
        for bit in (0, 3, 6):
            content = bytearray(whole)
            content[position] ^= 1 << bit
            (folder.path / "result.json").write_bytes(content)
            try:
                assert folder.read("result.json") == RECORD
            except DamagedRecord:
                continue


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 200,
        b"null",
        b"[]",
        b"{}",
        b'{"metrics": {"ssim": 1.0}}',
        b'{"format": 1, "sha256": "0"}',
        b'{"format": 1, "sha256": "0", "x": NaN}',
        b'{"format": 99, "sha256": "0"}',
        b'{"format": 1, "sha256": null, "x": 1e999}',
        b"\xff\xfe{",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"format": 1, "sha256": "0", "x": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_what_is_no_record_of_ours_is_damaged(folder: Folder, content: bytes) -> None:
    damaged(folder, content)


def test_a_huge_file_is_refused_unread(folder: Folder) -> None:
    with (folder.path / "result.json").open("wb") as file:
        file.truncate(records.MAX_RECORD_BYTES + 1)
    with pytest.raises(DamagedRecord, match="larger than 32 MiB"):
        folder.read("result.json")


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_refused_and_not_waited_for(folder: Folder, kind: str) -> None:
    path = folder.path / "result.json"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DamagedRecord, match="is not a file"):
        folder.read("result.json")


def test_a_record_copied_from_elsewhere_is_not_taken_for_this_folder_s_own(folder: Folder) -> None:
    other = Folder(folder.path.with_name(B))
    other.write("experiment.json", {"variant": "base"})
    shutil.copy(other.path / "experiment.json", folder.path / "result.json")
    with pytest.raises(DamagedRecord, match=rf"is the record of {B}/experiment\.json"):
        folder.read("result.json")
    shutil.copy(folder.path / "result.json", other.path / "result.json")
    with pytest.raises(DamagedRecord, match="is the record of"):
        other.read("result.json")


def test_a_store_may_be_moved_as_a_whole(folder: Folder, tmp_path: Path) -> None:
    moved = shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    assert Folder(Path(moved) / A).read("result.json") == RECORD


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda key: key not in ("format", "sha256", "place")),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**60), 2**60)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        ),
        max_size=4,
    )
)
def test_any_record_of_plain_values_comes_back(tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any]) -> None:
    folder = Folder(tmp_path_factory.mktemp("store") / A)
    try:
        folder.write("x.json", record)
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    assert folder.read("x.json") == record


# --- metrics.jsonl


def test_a_line_that_a_crash_tore_spoils_no_other(folder: Folder) -> None:
    for step in (10, 20):
        folder.append("metrics.jsonl", {"step": step, "loss": float("nan")})
    with (folder.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 30, "lo')
    assert [line["step"] for line in folder.lines("metrics.jsonl")] == [10, 20]
    folder.append("metrics.jsonl", {"step": 40})
    assert folder.lines("metrics.jsonl") == [{"step": 10, "loss": None}, {"step": 20, "loss": None}, {"step": 40}]


def test_foreign_lines_are_passed_over(folder: Folder) -> None:
    (folder.path / "metrics.jsonl").write_bytes(
        b'\n[1]\n"x"\n\xff\xfe\n{"step": 1, "loss": NaN}\n' + b"[" * 100_000 + b"\n\0\n"
    )
    assert folder.lines("metrics.jsonl") == [{"step": 1, "loss": None}]
    assert Training(folder.path).validations() == []


def test_after_a_resume_the_later_validation_of_a_step_counts(folder: Folder) -> None:
    for ssim in (0.1, 0.2):
        folder.append("metrics.jsonl", {"step": 10, "seconds": 1.0, "validation": {"ssim": ssim}})
    folder.append("metrics.jsonl", {"step": "x", "seconds": 1.0, "validation": {"ssim": 0.3}})
    assert Training(folder.path).validations() == [{"step": 10, "seconds": 1.0, "ssim": 0.2}]


def test_no_lines_are_no_error_and_a_full_disk_is_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.lines("metrics.jsonl") == []
    whole = Folder.opened
    monkeypatch.setattr(Folder, "opened", lambda *args, **options: Path("/dev/full").open("ab+"))  # noqa: SIM115
    with pytest.raises(HarnessError, match=r"cannot write .*full\.jsonl"):
        folder.append("full.jsonl", {"step": 1})
    monkeypatch.setattr(Folder, "opened", whole)
    (folder.path / "folder.jsonl").mkdir()
    with pytest.raises(HarnessError, match=r"folder\.jsonl is not a file"):
        folder.lines("folder.jsonl")
