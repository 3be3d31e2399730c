"""`harness compare`: exit codes, words and the document."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import Command
from fake_store import Fake, cell, without_sync, write_run


def store(root: Path, variant: str = "base", failed: tuple[int, ...] = ()) -> Path:
    with without_sync():
        for seed in range(5):
            fake = Fake(metrics={"ssim": None}) if seed in failed else Fake(ssim=0.8 + 0.01 * (seed % 3), seconds=100.0)
            write_run(root, cell(variant, seed), fake)
    return root


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return store(tmp_path / "before")


def test_the_same_twice_is_no_change(before: Path, harness: Command) -> None:
    answer = harness("compare", before, before)
    assert (answer.code, answer.err) == (0, "")
    assert "base" in answer.out


def test_something_that_got_worse_is_exit_code_1_and_in_the_document(before: Path, tmp_path: Path, harness: Command) -> None:
    after = store(Path(shutil.copytree(before, tmp_path / "after")), failed=(3,))
    answer = harness("compare", before, after, "--json")
    assert answer.code == 1
    assert answer.document["regressed"]
    (row,) = answer.document["rows"]
    assert row["lost_seeds"] == [3]
    assert [row[name] for name in ("mean_b", "difference", "low", "high")] == [None] * 4, "no survivors' figures"


def test_what_cannot_be_compared_is_a_wrong_request(before: Path, tmp_path: Path, harness: Command) -> None:
    answer = harness("compare", before, store(tmp_path / "other", "tta"))
    assert (answer.code, "can be compared" in answer.error) == (2, True)
    assert harness("compare", before, tmp_path / "absent").code == 2
    assert harness("compare", before, before, "--margin", "-1").code == 2
