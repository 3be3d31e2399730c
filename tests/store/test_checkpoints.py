"""Checkpoints are safetensors files that know their training, and no changed byte of one is believed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from harness.store import DamagedRecord
from harness.store.checkpoints import LAST, CheckpointFolder

WEIGHTS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2, dtype=torch.int64)}


@pytest.fixture
def training(tmp_path: Path) -> CheckpointFolder:
    """A training's folder with a state of step 7."""
    found = CheckpointFolder(tmp_path / "trainings" / ("a" * 16))
    found.write_checkpoint(LAST, save(WEIGHTS), {"state": json.dumps({"step": 7})})
    return found


def test_what_is_written_is_a_safetensors_file_of_its_training(training: CheckpointFolder) -> None:
    path = training.path / LAST
    loaded = load_file(path)
    assert loaded.keys() == WEIGHTS.keys()
    assert all(torch.equal(loaded[name], one) for name, one in WEIGHTS.items())
    with safe_open(path, "pt") as file:
        header = file.metadata()
    assert header["training"] == "a" * 16
    assert training.check_checkpoint(LAST) == {name: text for name, text in header.items() if name != "sha256"}
    assert training.saved_step() == 7


def test_any_changed_byte_is_noticed(training: CheckpointFolder) -> None:
    path = training.path / LAST
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedRecord, match=r"last\.safetensors"):
            training.check_checkpoint(LAST)
    path.write_bytes(whole)
    training.check_checkpoint(LAST)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\xff" * 64, b"\x02" + bytes(7) + b"{}"], ids=["empty", "text", "huge", "bare"]
)
def test_what_is_no_checkpoint_of_a_store_is_refused_and_has_no_step(content: bytes, training: CheckpointFolder) -> None:
    (training.path / LAST).write_bytes(content)
    with pytest.raises(DamagedRecord, match="is not a checkpoint of this store"):
        training.check_checkpoint(LAST)
    assert training.saved_step() == 0


def test_a_file_of_another_length_is_refused_before_it_is_read(training: CheckpointFolder) -> None:
    with open(training.path / LAST, "ab") as file:
        file.write(b"x")
    with pytest.raises(DamagedRecord, match="not as many as its header says"):
        training.check_checkpoint(LAST)


def test_a_checkpoint_of_another_training_is_refused(training: CheckpointFolder) -> None:
    other = CheckpointFolder(training.path.with_name("b" * 16))
    shutil.copytree(training.path, other.path)
    with pytest.raises(DamagedRecord, match="belongs to the training aaaaaaaaaaaaaaaa"):
        other.check_checkpoint(LAST)
    aside = CheckpointFolder(training.path.with_name(f"{'a' * 16}~1"))  # set aside by --force, it is still that training's
    shutil.copytree(training.path, aside.path)
    aside.check_checkpoint(LAST)


def test_without_a_state_there_is_no_step(tmp_path: Path) -> None:
    assert CheckpointFolder(tmp_path / "none").saved_step() == 0
