"""Sources: one interface over generated and stored sequences, addressed by (seed, step), with a named test set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data import FrameFile, Source, open_frames, open_source
from harness.data.moving_mnist import MovingMnist as Data
from harness.data.sequences import Frames
from harness.errors import RequestError
from harness.runs.request import Request
from harness.variant import Variants

SMALL = Data(
    canvas=16, digit_size=7, digits=2, input_frames=4, horizon=3, validation_sequences=30, test_sequences=250, test_seed=7
)


FILE = Frames(input_frames=4, horizon=3, validation_sequences=30, test_sequences=250)


def file_data(path: Path, **changes: object) -> Frames:
    letters = {4: "N T H W", 5: "N T C H W"}[np.load(path, mmap_mode="r").ndim]
    return dataclasses.replace(FILE, **{"path": str(path), "layout": letters} | changes)  # type: ignore[arg-type]


def saved(path: Path, *shape: int, floats: bool = False) -> Path:
    """A file whose every frame tells its sequence (first pixel) and its time (second pixel)."""
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    array[..., 0, 0] = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 3))
    array[..., 0, 1] = np.arange(shape[1]).reshape(1, -1, *[1] * (len(shape) - 4))
    np.save(path, array / np.float32(255) if floats else array)
    return path


def collect(batches: object) -> torch.Tensor:
    return torch.cat(list(batches))  # type: ignore[call-overload]


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


def test_a_smaller_test_set_is_the_start_of_a_larger_one() -> None:
    small = open_source(dataclasses.replace(SMALL, test_sequences=70))
    assert torch.equal(collect(small.test(32, "cpu")), collect(open_source(SMALL).test(100, "cpu"))[:70])


def test_a_test_set_has_one_name_on_every_machine() -> None:
    assert open_source(SMALL).test_digest() == PINNED


PINNED = "e25c66ef8d3cc8dc8739f60225bcd139f89f2ff33fe4462f4bd433f13d632d47"


def test_the_test_digest_names_frames_and_their_number(tmp_path: Path) -> None:
    digests = {
        open_source(dataclasses.replace(SMALL, **changes)).test_digest()
        for changes in ({}, {"test_seed": 8}, {"test_sequences": 249}, {"speed": 0.2}, {"horizon": 2})
    }
    assert len(digests) == 5
    unflipped = open_source(dataclasses.replace(SMALL, flip_horizontal=0.0, validation_sequences=3))
    assert unflipped.test_digest() == open_source(SMALL).test_digest()


def test_generated_frames_saved_to_a_file_are_the_same_test_set(tmp_path: Path) -> None:
    generated = open_source(SMALL)
    frames = (collect(generated.test(100, "cpu")) * 255).round().to(torch.uint8)[:, :, 0]
    np.save(tmp_path / "test.npy", frames.numpy())
    stored = open_source(dataclasses.replace(SMALL, evaluation=str(tmp_path / "test.npy")))
    assert stored.test_digest() == generated.test_digest()
    assert torch.equal(collect(stored.test(60, "cpu")), collect(generated.test(60, "cpu")))
    assert torch.equal(collect(stored.validation(60, "cpu")), collect(generated.validation(60, "cpu")))
    assert stored.identity["train"] == generated.identity["train"]
    assert stored.identity["evaluation"] == f"file:{open_frames(tmp_path / 'test.npy').digest}:0-250"


def test_identity_names_the_content_and_needs_no_test_set() -> None:
    source = open_source(dataclasses.replace(SMALL, test_sequences=10**9))
    assert source.identity == {"train": f"moving-mnist:{source.digits['digest']}", "evaluation": source.identity["train"]}
    assert source.digits["source"] == "embedded"


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


def test_an_evaluation_file_changes_nothing_of_the_training(tmp_path: Path) -> None:
    path, other = saved(tmp_path / "a.npy", 40, 9, 6, 8), saved(tmp_path / "b.npy", 300, 8, 6, 8)
    alone, judged = open_source(file_data(path)), open_source(file_data(path, evaluation=str(other)))
    assert judged.test_sequences == 250
    assert judged.identity == {"train": alone.identity["train"], "evaluation": f"file:{open_frames(other).digest}:0-250"}
    assert torch.equal(judged.train_batch(0, 0, 9, 3, "cpu"), alone.train_batch(0, 0, 9, 3, "cpu"))
    assert torch.equal(collect(judged.validation(9, "cpu")), collect(alone.validation(9, "cpu")))


@pytest.mark.parametrize(
    ("train", "evaluation", "message"),
    [
        ((2, 9, 6, 8), None, "holds 2 sequences; at least 3"),
        ((9, 6, 6, 8), None, "sequences of 6 frames; data.input_frames 4 .* need 7"),
        (None, (6, 6, 16, 16), "sequences of 6 frames"),
        (None, (9, 7, 16, 12), r"\(1, 16, 12\), training has \(1, 16, 16\); set data.canvas to match"),
        ((9, 7, 1, 6, 8), (9, 7, 3, 6, 8), r"\(3, 6, 8\), training has \(1, 6, 8\); give an evaluation"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, train: tuple[int, ...] | None, evaluation: tuple[int, ...] | None, message: str
) -> None:
    data: Data | Frames = SMALL
    if train:
        data = file_data(saved(tmp_path / "train.npy", *train))
    if evaluation:
        data = dataclasses.replace(data, evaluation=str(saved(tmp_path / "evaluation.npy", *evaluation)))
    with pytest.raises(RequestError, match=message):
        open_source(data)


def test_two_parts_of_one_file_are_two_test_sets(tmp_path: Path) -> None:
    path = saved(tmp_path / "frames.npy", 40, 9, 16, 16)
    tail, whole = (open_source(file_data(path, evaluation=given)) for given in ("", str(path)))
    assert tail.identity["train"] == whole.identity["train"]
    assert tail.identity["evaluation"] != whole.identity["evaluation"]


def test_an_epoch_of_a_file_is_its_training_sequences(tmp_path: Path) -> None:
    path = saved(tmp_path / "frames.npy", 40, 9, 16, 16)
    settings = {"data.frames": str(path), "data.layout": "NTHW", "training.epochs": 2, "training.batch_size": 8}
    cell, source = Request(preset="tiny", settings=settings).cell(Variants(third_party=False), "base")
    assert source.epoch_sequences == 32
    assert (cell.experiment.training.steps, cell.experiment.training.epochs) == (8, None)
    assert open_source(SMALL).epoch_sequences == SMALL.epoch_sequences


def test_a_file_without_a_path_is_refused() -> None:
    with pytest.raises(RequestError, match=r"--set data\.path=FILE"):
        open_source(Frames())


def test_bad_values_are_found_before_training_starts(tmp_path: Path) -> None:
    array = np.zeros((20, 7, 6, 8), np.float32)
    array[3, 2, 1, 1] = np.nan
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(RequestError, match="sequence 3 holds nan"):
        _ = open_source(file_data(tmp_path / "bad.npy")).identity


def test_a_digits_folder_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        open_source(SMALL, tmp_path / "nowhere")


def test_files_stay_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (3000, 10, 256, 256)).flush()  # 2 GB of holes
    file = open_frames(path)
    assert isinstance(file, FrameFile)
    assert file.read([0, 2999], slice(0, 2)).shape == (2, 2, 1, 256, 256)
