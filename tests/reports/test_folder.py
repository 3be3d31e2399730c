"""A report's folder: whole pages or the old ones, and nothing of others."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_page import sample_page
from small_pages import page_of, table_of

from harness.errors import HarnessError
from reports.pages import folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_write_makes_every_file_and_returns_it(tmp_path: Path) -> None:
    out = tmp_path / "a" / "report"
    written = folder.write(sample_page(), out)
    assert written[0] == out / "index.html"
    expected = {
        "index.html",
        "report.md",
        "tables/ablation.csv",
        "tables/ablation.tex",
        "tables/costs.csv",
        "tables/costs.tex",
    }
    expected |= {"figures/gains.svg", "figures/gains.png", "pictures/strip.png", "pictures/animation.gif"}
    assert files(out) == {path.relative_to(out).as_posix() for path in written} == expected | {"report-files.json"}
    assert set(json.loads((out / "report-files.json").read_text())["files"]) == expected
    umask = os.umask(0)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in written} == {0o666 & ~umask}


def test_stale_files_go_and_foreign_files_stay(tmp_path: Path) -> None:
    folder.write(sample_page(), tmp_path)
    for foreign in ("notes.txt", "tables/mine.csv"):
        (tmp_path / foreign).write_text("mine")
    folder.write(page_of(table_of("a", id="new")), tmp_path)
    ours = {"index.html", "report.md", "report-files.json", "tables/new.csv", "tables/new.tex"}
    assert files(tmp_path) == ours | {"notes.txt", "tables/mine.csv"}
    assert not (tmp_path / "figures").exists()


def test_a_file_of_others_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my site")
    with pytest.raises(HarnessError, match=r"no report wrote its index\.html; move it away or choose another folder"):
        folder.write(sample_page(), tmp_path)
    assert files(tmp_path) == {"index.html"}
    assert (tmp_path / "index.html").read_text() == "my site"


@pytest.mark.parametrize(
    "manifest", ["", "[]", "{}", '{"files": 3}', '{"files": [3, "../precious.txt", "/etc/x", "notes.txt"]}']
)
def test_a_damaged_manifest_removes_nothing(tmp_path: Path, manifest: str) -> None:
    out = tmp_path / "report"
    out.mkdir()
    for path in (tmp_path / "precious.txt", out / "notes.txt"):
        path.write_text("mine")
    (out / "report-files.json").write_text(manifest)
    folder.write(page_of(), out)
    assert files(tmp_path) == {
        "precious.txt",
        *(f"report/{name}" for name in ("notes.txt", "index.html", "report.md", "report-files.json")),
    }


def test_out_is_a_file(tmp_path: Path) -> None:
    out = tmp_path / "report"
    out.write_text("mine")
    with pytest.raises(HarnessError, match=rf"{out}: it is a file; remove it or choose another folder \(--out\)$"):
        folder.write(sample_page(), out)
    with pytest.raises(HarnessError, match="cannot write the report to"):
        folder.write(sample_page(), out / "below")
    assert out.read_text() == "mine"


@contextlib.contextmanager
def locked_folder() -> Iterator[Path]:
    """A folder without write permission; root gives up its rights for the test, or the permission would not hold."""
    if sys.platform == "win32":
        pytest.skip("folders' permissions mean something else there")
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    folder = root / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    was = os.geteuid()
    try:
        if was == 0:
            try:
                os.seteuid(65534)
            except OSError:
                pytest.skip("root cannot give up its rights here")
        yield folder
    finally:
        os.seteuid(was)
        folder.chmod(0o755)
        shutil.rmtree(root)


def test_a_read_only_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = folder._contents(page_of())
    monkeypatch.setattr(folder, "_contents", lambda page: contents)  # the templates need not be readable for all
    with (
        locked_folder() as locked,
        pytest.raises(HarnessError, match=rf"{locked}: Permission denied; make it writable or choose"),
    ):
        folder.write(page_of(), locked)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_full_disk_leaves_the_old_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    folder.write(sample_page(), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    stage, calls = folder._stage, Counter[str]()

    def full(target: Path, content: bytes, temporary: list[Path]) -> Path:
        calls["stage"] += 1
        if calls["stage"] > step:
            with target.with_name(".half.part").open("wb") as file:
                temporary.append(Path(file.name))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return stage(target, content, temporary)

    monkeypatch.setattr(folder, "_stage", full)
    with pytest.raises(HarnessError, match=r"No space left on device; free some space or choose another folder"):
        folder.write(page_of(table_of("a")), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_an_interrupted_report_is_cleaned_up_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, done = Path.replace, []

    def interrupted(self: Path, target: Path) -> Path:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder.write(sample_page(), tmp_path)
    assert len(files(tmp_path)) == 3
    assert "index.html" not in files(tmp_path)
    folder.write(page_of(), tmp_path)
    assert files(tmp_path) == {"index.html", "report.md", "report-files.json"}
