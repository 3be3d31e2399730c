"""Whole files or none."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path

import pytest

from harness.system import files


def test_a_file_is_replaced_whole_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    files.write(path, b"old")
    files.write(path, b"ne", memoryview(b"w"))
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_call_that_fails_leaves_the_old_file_and_nothing_else(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    files.write(path, b"old")

    def full(*words: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_staged_is_known_by_its_name(tmp_path: Path) -> None:
    staged = files.stage(tmp_path / "a.bin", b"x")
    assert files.is_temporary(staged)
    assert not files.is_temporary(tmp_path / "a.bin")
    files.discard([staged, tmp_path / "never-there"])
    assert list(tmp_path.iterdir()) == []


def test_a_torn_line_is_closed_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"whole\nto")
    with open(path, "r+b") as file:
        files.append(file.fileno(), b"next")
    assert path.read_bytes() == b"whole\nto\nnext\n"
    files.sync(path)
    files.sync(tmp_path / "never-there")


def test_a_digest_does_not_depend_on_the_pieces() -> None:
    content = os.urandom(3 * 2**20 + 5)
    expected = hashlib.sha256(content).hexdigest()
    assert files.digest([content]) == files.digest(files.pieces(io.BytesIO(content))) == expected


def test_a_writer_that_wants_a_name_gets_one_that_takes_the_files_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    with files.replacing(path) as temporary:
        assert files.is_temporary(temporary)
        temporary.write_bytes(b"old")
        assert not path.exists()
    with contextlib.suppress(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_bytes(b"ne")
        temporary.write_bytes(bytes(1 // 0))
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_put_in_its_place_whole_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("first", "second"):
        with (
            pytest.raises(OSError, match="not empty") if path.exists() else contextlib.nullcontext(),
            files.replacing(path) as temporary,
        ):
            temporary.mkdir()
            (temporary / name).touch()
    assert [one.name for one in path.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [path]
