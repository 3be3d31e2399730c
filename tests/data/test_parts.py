"""What of a file trains and what tests: disjoint parts, every window once an epoch, flipped and cut whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from stored_sequences import collect, file_data, saved

from harness.data import open_frames, open_source


def test_the_splits_of_a_file_are_disjoint_and_its_last_tenth_is_for_testing(tmp_path: Path) -> None:
    path = saved(tmp_path / "frames.npy", 40, 9, 6, 8)
    source = open_source(file_data(path, flip_horizontal=0.0, flip_vertical=0.0))

    def names(frames: torch.Tensor) -> list[int]:
        return (frames[:, 0, 0, 0, 0] * 255).round().int().tolist()

    assert names(collect(source.test(3, "cpu"))) == [36, 37, 38, 39]
    assert names(collect(source.validation(3, "cpu"))) == [32, 33, 34, 35]
    seen = [names(source.train_batch(0, step, 8, 3, "cpu")) for step in range(8)]
    first, second = np.concatenate(seen[:4]).tolist(), np.concatenate(seen[4:]).tolist()
    assert sorted(first) == sorted(second) == list(range(32)), "every sequence is seen once before any is seen twice"
    assert first != second
    assert source.digits == {"source": "file", "digest": open_frames(path).digest}
    digest = open_frames(path).digest
    assert source.identity == {"train": f"file:{digest}", "evaluation": f"file:{digest}:36-40"}


def test_long_training_sequences_are_cropped_anywhere_and_held_out_ones_at_the_start(tmp_path: Path) -> None:
    source = open_source(file_data(saved(tmp_path / "frames.npy", 40, 9, 6, 8), flip_horizontal=0.0, flip_vertical=0.0))

    def times(frames: torch.Tensor) -> np.ndarray:
        return (frames[:, :, 0, 0, 1] * 255).round().int().numpy()

    seen = np.concatenate([times(source.train_batch(0, step, 16, 3, "cpu")) for step in range(10)])
    assert set(seen[:, 0].tolist()) == {0, 1, 2}
    assert (np.diff(seen, axis=1) == 1).all()
    assert (times(collect(source.test(8, "cpu"))) == np.arange(7)).all()


def test_stored_training_sequences_are_flipped_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "frames.npy", 40, 7, 2, 6, 8)
    plain = open_source(file_data(path, flip_horizontal=0.0, flip_vertical=0.0)).train_batch(0, 0, 9, 3, "cpu")
    for flips, axes in (((1.0, 0.0), [-1]), ((0.0, 1.0), [-2]), ((1.0, 1.0), [-2, -1])):
        source = open_source(file_data(path, flip_horizontal=flips[0], flip_vertical=flips[1]))
        assert torch.equal(source.train_batch(0, 0, 9, 3, "cpu"), plain.flip(axes))
    some = open_source(file_data(path)).train_batch(0, 0, 9, 3, "cpu")
    kept = [torch.equal(a, b) for a, b in zip(some, plain, strict=True)]
    assert any(kept)
    assert not all(kept)


def test_bytes_and_floats_of_the_same_frames_train_alike(tmp_path: Path) -> None:
    sources = [
        open_source(file_data(saved(tmp_path / name, 40, 7, 6, 8, floats=floats)))
        for name, floats in (("bytes.npy", False), ("floats.npy", True))
    ]
    assert torch.equal(*(source.train_batch(0, 0, 9, 3, "cpu") for source in sources))
    assert torch.equal(*(collect(source.test(9, "cpu")) for source in sources))
    assert sources[0].test_digest() != sources[1].test_digest()
