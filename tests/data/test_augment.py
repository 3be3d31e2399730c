"""Augmentation changes training batches alone, by draws of its own, and leaves keys as they were where there is none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.data.augment import Flip, Noise, Rotate
from harness.data.moving_mnist import MovingMnist
from harness.data.source import open_source
from harness.errors import RequestError
from harness.presets import preset

TINY = {"canvas": 16, "digit_size": 7, "input_frames": 3, "horizon": 3, "validation_sequences": 2, "test_sequences": 2}
PLAIN = open_source(MovingMnist(**TINY))


def batch(*augment: object, step: int = 0, horizon: int = 3, seed: int = 0) -> Tensor:
    return open_source(MovingMnist(**TINY, augment=augment)).train_batch(seed, step, 4, horizon, "cpu")


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_curriculum_sees_the_same_sequences_cut_short() -> None:
    both = (Flip(), Noise(std=0.3), Rotate())
    for horizon in (1, 2):
        assert torch.equal(batch(*both, horizon=horizon), batch(*both)[:, : 3 + horizon])


def test_a_batch_follows_from_the_seed_and_the_step() -> None:
    assert torch.equal(batch(Noise(), step=5), batch(Noise(), step=5))
    assert not torch.equal(batch(Noise(), step=5) - PLAIN.train_batch(0, 5, 4, 3, "cpu"), batch(Noise()) - batch())
    assert not torch.equal(batch(Noise(), seed=1), batch(Noise()))


def test_one_augmentation_draws_the_same_beside_another() -> None:
    noisy, plain = batch(Noise()), batch()
    turned_noisy = batch(Noise(), Rotate(probability=1.0))
    assert torch.equal(turned_noisy, Rotate(probability=1.0).apply(noisy, _of("rotate")))
    assert not torch.equal(noisy, plain)


def _of(name: str) -> torch.Generator:
    from harness.system.seeds import derived_seed

    return draws(derived_seed(0, f"augment/{name}/0"))


def test_noise_leaves_the_frames_to_predict_clean_and_stays_in_range() -> None:
    noisy, plain = batch(Noise(std=0.5)), batch()
    assert torch.equal(noisy[:, 3:], plain[:, 3:])
    assert not torch.equal(noisy[:, :3], plain[:, :3])
    assert noisy.min() >= 0
    assert noisy.max() <= 1


@pytest.mark.parametrize(("axes", "dims"), [("horizontal", (-1,)), ("vertical", (-2,)), ("both", (-1, -2))])
def test_a_flip_mirrors_whole_sequences(axes: str, dims: tuple[int, ...]) -> None:
    frames = torch.rand(3, 2, 1, 8, 8)
    assert torch.equal(Flip(probability=1.0, axes=axes).apply(frames, draws()), frames.flip(dims))
    assert torch.equal(Flip(probability=0.0, axes=axes).apply(frames, draws()), frames)


def test_a_rotation_takes_all_four_positions_alike() -> None:
    frames = torch.rand(1, 2, 1, 8, 8).expand(400, -1, -1, -1, -1)
    turned = Rotate().apply(frames, draws())
    counts = [sum(torch.equal(one, frames[0].rot90(k, (-2, -1))) for one in turned) for k in range(4)]
    assert sum(counts) == 400
    assert min(counts) > 70


def test_a_rotation_of_frames_that_are_not_square_is_refused() -> None:
    with pytest.raises(RequestError, match="8x16"):
        Rotate().apply(torch.zeros(1, 1, 1, 8, 16), draws())


def test_validation_and_test_are_not_augmented() -> None:
    augmented = open_source(MovingMnist(**TINY, augment=(Noise(std=1.0), Rotate())))
    assert torch.equal(next(augmented.validation(2, "cpu")), next(PLAIN.validation(2, "cpu")))
    assert augmented.test_digest() == PLAIN.test_digest()


def test_settings_name_augmentations_and_an_empty_slot_is_not_in_keys() -> None:
    plain = preset("tiny")
    assert "augment" not in plain.identity["data"]
    changed = plain.replace({"data.augment": "flip,noise(std=0.1)", "data.augment.rotate": "rotate"})
    assert changed.data.augment == (Flip(), Noise(std=0.1), Rotate())
    assert changed.replace({"data.augment.noise.std": "0.2"}).get("data.augment.noise.std") == 0.2
    assert changed.replace({"data.augment": "none"}) == plain
    assert changed.replace({"data": "frames", "data.path": "x.npy"}).data.augment == changed.data.augment
