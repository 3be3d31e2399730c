"""Marks of runs that were read and found whole: believed of the very files and the very question."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest
from fake_store import cell, without_sync, write_run

from harness.store import Folder, Store
from harness.store.marks import Marks

MADE = cell("base", 0, "tiny")
RUN, TRAINING = MADE.run_id, MADE.training_key


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with one finished run, and a cache of the test's own."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    with without_sync():
        write_run(tmp_path / "store", MADE)
    return Store(tmp_path / "store")


def test_a_mark_is_kept_for_the_next_process_and_answers_its_question_alone(finished: Store) -> None:
    marks = Marks(finished)
    assert not marks.has(RUN, TRAINING, "ssim")
    marks.put(RUN, TRAINING, "ssim")
    assert marks.has(RUN, TRAINING, "ssim")
    assert not Marks(finished).has(RUN, TRAINING, "ssim"), "nothing is written before `save`"
    marks.save()
    assert Marks(finished).has(RUN, TRAINING, "ssim")
    assert not Marks(finished).has(RUN, TRAINING, "ssim,csi")
    assert not Marks(finished).has("0" * 16, TRAINING, "ssim")


@pytest.mark.parametrize("place", [f"runs/{RUN}", f"trainings/{TRAINING}"])
def test_a_file_that_was_written_again_is_read_again(place: str, finished: Store) -> None:
    marks = Marks(finished)
    marks.put(RUN, TRAINING, "ssim")
    folder = Folder(finished.root / place)
    folder.write("experiment.json", folder.read("experiment.json"))
    assert not marks.has(RUN, TRAINING, "ssim")


def test_a_run_that_lacks_a_file_gets_no_mark(finished: Store) -> None:
    (finished.root / "runs" / RUN / "result.json").unlink()
    marks = Marks(finished)
    marks.put(RUN, TRAINING, "ssim")
    assert not marks.has(RUN, TRAINING, "ssim")


def test_another_stores_marks_are_not_this_ones(finished: Store, tmp_path: Path) -> None:
    marks = Marks(finished)
    marks.put(RUN, TRAINING, "ssim")
    marks.save()
    finished.root.rename(tmp_path / "moved")
    assert not Marks(Store(tmp_path / "moved")).has(RUN, TRAINING, "ssim")
