"""Packed folders are read as if they lay in the store: which pack counts, what is out, and what damage is said to be."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from harness.store import DamagedRecord, packs


def pack_of(root: Path, number: int, **files: str) -> Path:
    """A pack of the files `FOLDER__NAME=text` of runs; each file has the name `result.json`."""
    path = root / "packs" / f"{number:06}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for run, text in files.items():
            archive.writestr(f"runs/{run}/result.json", text)
    return path


def read(root: Path, run: str) -> bytes | None:
    found = packs.find(root / "runs" / run)
    if found is None:
        return None
    with found.open("result.json") as file:
        return file.read()


def test_a_later_pack_goes_before_an_earlier_one_and_a_folder_that_is_out_counts_no_more(tmp_path: Path) -> None:
    first, second = pack_of(tmp_path, 1, a="one", b="one"), pack_of(tmp_path, 2, a="two")
    assert (read(tmp_path, "a"), read(tmp_path, "b"), read(tmp_path, "c")) == (b"two", b"one", None)
    assert sorted(packs.names(tmp_path, "runs")) == ["a", "a", "b"]
    assert list(packs.names(tmp_path, "trainings")) == []
    second.with_suffix(".out").write_text("runs/a\n")
    assert read(tmp_path, "a") == b"one"
    first.with_suffix(".out").write_text("runs/a\n")
    assert read(tmp_path, "a") is None
    assert list(packs.names(tmp_path, "runs")) == ["b"]


def test_only_numbered_packs_of_runs_and_trainings_are_looked_into(tmp_path: Path) -> None:
    pack_of(tmp_path, 1, a="one").rename(tmp_path / "packs" / "mine.zip")
    assert read(tmp_path, "a") is None
    assert packs.find(tmp_path / "plans" / "a") is None
    assert packs.all_of(tmp_path / "nowhere") == []


def test_a_folder_comes_back_whole_and_is_out_then(tmp_path: Path) -> None:
    pack = pack_of(tmp_path, 1, a="one", b="two")
    packs.take_out(tmp_path / "runs" / "a")
    assert (tmp_path / "runs" / "a" / "result.json").read_text() == "one"
    assert pack.with_suffix(".out").read_text().split() == ["runs/a"]
    assert list(packs.names(tmp_path, "runs")) == ["b"]
    assert sorted(one.name for one in pack.parent.iterdir()) == ["000001.out", "000001.zip"]


def test_a_folder_that_lies_in_the_store_is_not_overwritten(tmp_path: Path) -> None:
    pack_of(tmp_path, 1, a="packed")
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "result.json").write_text("newer")
    packs.take_out(tmp_path / "runs" / "a")
    assert (tmp_path / "runs" / "a" / "result.json").read_text() == "newer"
    assert packs.find(tmp_path / "runs" / "a") is None


def test_damage_is_named_with_the_file_and_the_pack(tmp_path: Path) -> None:
    path = pack_of(tmp_path, 1, a="some text that is stored as it is")
    found = packs.find(tmp_path / "runs" / "a")
    assert found is not None
    with pytest.raises(FileNotFoundError):
        found.open("environment.json")
    path.write_bytes(path.read_bytes().replace(b"some text", b"same text"))
    with pytest.raises(DamagedRecord, match=r"runs/a/result\.json in .*000001\.zip is not whole"):
        found.open("result.json")


def test_a_pack_whose_list_cannot_be_read_says_what_saves_the_rest(tmp_path: Path) -> None:
    pack_of(tmp_path, 1, a="one").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(DamagedRecord, match=r"zip -FF"):
        packs.all_of(tmp_path)
