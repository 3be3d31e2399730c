"""Sequences as a file for other programs: all of a split, once, with a word on what they are."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from stored_sequences import SMALL

from harness.data.export import export
from harness.data.source import Source, open_source
from harness.errors import HarnessError, RequestError


@pytest.fixture(scope="module")
def source() -> Source:
    """250 test sequences, which are written in three parts, and 30 of validation."""
    return open_source(dataclasses.replace(SMALL))


@pytest.mark.parametrize(("split", "count"), [("test", 250), ("validation", 30)])
def test_a_file_holds_every_sequence_of_a_split_in_order(split: str, count: int, source: Source, tmp_path: Path) -> None:
    out = tmp_path / "new" / "frames.npy"
    about = export(source, split, out)
    batches = source.test(1000, "cpu") if split == "test" else source.validation(1000, "cpu")
    np.testing.assert_array_equal(np.load(out), torch.cat(list(batches)).numpy())
    assert about["shape"] == [count, 7, 1, 16, 16]
    assert (about["shown"], about["horizon"], about["file"]) == (4, 3, "frames.npy")
    assert about.get("test_digest") == (source.test_digest() if split == "test" else None)
    assert json.loads((tmp_path / "new" / "frames.json").read_text()) == about
    assert sorted(one.name for one in out.parent.iterdir()) == ["frames.json", "frames.npy"]


def test_another_split_or_ending_is_refused(source: Source, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"unknown split 'tests'; did you mean 'test'"):
        export(source, "tests", tmp_path / "a.npy")
    with pytest.raises(RequestError, match=r"choose a file that ends in \.npy"):
        export(source, "test", tmp_path / "a.npz")


def test_what_cannot_be_written_leaves_nothing(source: Source, tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(HarnessError, match=r"cannot write .*a\.npy: .*choose another file"):
        export(source, "validation", tmp_path / "a.npy")
    assert [one.name for one in tmp_path.rglob("*")] == ["a.npy"]
