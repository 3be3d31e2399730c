"""Sources: one interface over generated and stored sequences, addressed by (seed, step), with a named test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stored_sequences import SMALL, collect, file_data, saved

from harness.data import FrameFile, Source, open_frames, open_source
from harness.errors import RequestError
from harness.runs.request import Request
from harness.variant import Variants


def both(tmp_path: Path) -> list[Source]:
    path = tmp_path / "frames.npy"
    if not path.exists():
        saved(path, 40, 9, 2, 6, 8)
    return [open_source(SMALL), open_source(file_data(path))]


def test_a_training_batch_depends_on_seed_and_step_alone(tmp_path: Path) -> None:
    for source, again in zip(both(tmp_path), both(tmp_path), strict=True):
        batch = source.train_batch(3, 11, 8, 3, "cpu")
        assert batch.dtype == torch.float32
        assert batch.shape == (8, 7, source.channels, source.height, source.width)
        assert 0 <= batch.min() < batch.max() <= 1
        again.train_batch(3, 10, 8, 3, "cpu")
        assert torch.equal(again.train_batch(3, 11, 8, 3, "cpu"), batch)
        assert not torch.equal(source.train_batch(3, 12, 8, 3, "cpu"), batch)
        assert not torch.equal(source.train_batch(4, 11, 8, 3, "cpu"), batch)


def test_a_shorter_horizon_sees_the_same_sequences_cut_short(tmp_path: Path) -> None:
    for source in both(tmp_path):
        assert torch.equal(source.train_batch(0, 5, 6, 1, "cpu"), source.train_batch(0, 5, 6, 3, "cpu")[:, :5])
        for horizon in (0, 4):
            with pytest.raises(ValueError, match="horizon"):
                source.train_batch(0, 0, 1, horizon, "cpu")


def test_the_held_out_sequences_do_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    for source in both(tmp_path):
        for sequences, batches in (
            (source.validation_sequences, source.validation),
            (source.test_sequences, source.test),
        ):
            whole = collect(batches(1000, "cpu"))
            assert whole.shape == (sequences, 7, source.channels, source.height, source.width)
            for size in (1, 7, 64):
                assert torch.equal(collect(batches(size, "cpu")), whole)


def test_an_epoch_of_a_file_is_its_training_sequences(tmp_path: Path) -> None:
    path = saved(tmp_path / "frames.npy", 40, 9, 16, 16)
    settings = {"data.frames": str(path), "data.layout": "NTHW", "training.epochs": 2, "training.batch_size": 8}
    cell, source = Request(preset="tiny", settings=settings).cell(Variants(third_party=False), "base")
    assert source.epoch_sequences == 32
    assert (cell.experiment.training.steps, cell.experiment.training.epochs) == (8, None)
    assert open_source(SMALL).epoch_sequences == SMALL.epoch_sequences


def test_a_digits_folder_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        open_source(SMALL, tmp_path / "nowhere")


def test_files_stay_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (3000, 10, 256, 256)).flush()  # 2 GB of holes
    file = open_frames(path)
    assert isinstance(file, FrameFile)
    assert file.read([0, 2999], slice(0, 2)).shape == (2, 2, 1, 256, 256)
