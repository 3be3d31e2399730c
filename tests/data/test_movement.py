"""Moving MNIST: the vectorised generator is the plain loop, only faster."""

from __future__ import annotations

import random

import loop_reference
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.data.draws import generator
from harness.data.movement import (
    Trajectories,
    concatenate,
    render,
    render_bytes,
    render_gather,
    resize_digits,
    sample_trajectories,
    walk,
)
from harness.data.moving_mnist import MovingMnist as Data


def pictures(count: int = 20, size: int = 28) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, size, size), dtype=np.uint8)


def by_loop(trajectories: Trajectories, images: np.ndarray, canvas: int) -> np.ndarray:
    sequences = []
    for b in range(len(trajectories)):
        paths = [
            (trajectories.corner[b, :, d, 0], trajectories.corner[b, :, d, 1]) for d in range(trajectories.digit.shape[1])
        ]
        chosen = [images[index] for index in trajectories.digit[b]]
        flips = bool(trajectories.flip_horizontal[b]), bool(trajectories.flip_vertical[b])
        sequences.append(loop_reference.sequence(chosen, paths, canvas, *flips))
    return np.stack(sequences)


def walk_by_loop(start: np.ndarray, direction: np.ndarray, frames: int, speed: float, free: int) -> np.ndarray:
    corner = np.empty((len(start), frames, start.shape[1], 2), np.int64)
    for b in range(len(start)):
        for d in range(start.shape[1]):
            ys, xs = loop_reference.trajectory(tuple(start[b, d]), tuple(direction[b, d]), frames, speed, free)
            corner[b, :, d, 0], corner[b, :, d, 1] = ys, xs
    return corner


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    frames=st.integers(1, 40),
    speed=st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), st.floats(0, 1)),
    free=st.integers(0, 100),
    on_axes=st.booleans(),
)
def test_paths_equal_the_loops_bit_for_bit(seed: int, frames: int, speed: float, free: int, on_axes: bool) -> None:
    rng = np.random.default_rng(seed)
    start, angle = rng.random((5, 3, 2)), rng.random((5, 3)) * 2 * np.pi
    direction = np.stack((np.sin(angle), np.cos(angle)), -1)
    if on_axes:  # starts on walls and exact steps meet the walls exactly
        start, direction = rng.choice([0.0, 0.25, 0.5, 1.0], (5, 3, 2)), rng.choice([-1.0, 0.0, 1.0], (5, 3, 2))
    corner = walk(start, direction, frames=frames, speed=speed, free=free)
    np.testing.assert_array_equal(corner, walk_by_loop(start, direction, frames, speed, free))
    assert corner.dtype == np.int64


@pytest.mark.parametrize(("canvas", "size", "digits"), [(64, 28, 2), (32, 14, 2), (28, 28, 1), (40, 7, 3), (9, 4, 5)])
def test_frames_equal_the_loops_bit_for_bit(canvas: int, size: int, digits: int) -> None:
    data = Data(canvas=canvas, digit_size=size, digits=digits)
    images = pictures(size=size)
    drawn = sample_trajectories(data, 13, len(images), generator(3, "train", 5), frames=20, augment=True)
    expected = by_loop(drawn, images, canvas)
    assert {True, False} == set(drawn.flip_horizontal.tolist()) == set(drawn.flip_vertical.tolist())
    tensor = torch.from_numpy(images)
    for frames in (render(drawn, tensor, canvas), render_gather(drawn, tensor, canvas)):
        assert frames.dtype == torch.float32
        assert frames.shape == (13, 20, 1, canvas, canvas)
        np.testing.assert_array_equal(frames.numpy(), expected)
    np.testing.assert_array_equal(render_bytes(drawn, images, canvas) / np.float32(255), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_renders_the_same_bits() -> None:
    data = Data()
    images = pictures()
    drawn = sample_trajectories(data, 200, len(images), generator(3, "train", 5), frames=20, augment=True)
    on_gpu = render(drawn, torch.from_numpy(images).cuda(), 64).cpu()
    assert torch.equal(on_gpu, render(drawn, torch.from_numpy(images), 64))


def test_the_distribution_is_that_of_the_plain_loop() -> None:
    count, frames, free = 3000, 12, 36
    drawn = sample_trajectories(Data(), count, 10, generator(0, "train", 0), frames=frames, augment=False)
    rng = random.Random(0)
    looped = np.empty((2 * count, frames, 2))
    for i in range(2 * count):
        theta = rng.random() * 2 * np.pi
        path = loop_reference.trajectory((rng.random(), rng.random()), (np.sin(theta), np.cos(theta)), frames, 0.1, free)
        looped[i] = np.stack(path, -1)
    ours = drawn.corner.swapaxes(1, 2).reshape(2 * count, frames, 2)
    for frame in (0, 5, 11):
        for axis in (0, 1):
            assert stats.ks_2samp(ours[:, frame, axis], looped[:, frame, axis]).pvalue > 1e-3
        moved = [np.hypot(*(p[:, frame] - p[:, 0]).T) for p in (ours, looped)]
        assert stats.ks_2samp(*moved).pvalue > 1e-3
    assert stats.chisquare(np.bincount(drawn.digit.ravel(), minlength=10)).pvalue > 1e-3


def test_a_shorter_horizon_is_a_prefix_of_a_longer_one() -> None:
    long = sample_trajectories(Data(), 8, 50, generator(1, "train", 2), frames=20, augment=True)
    short = sample_trajectories(Data(), 8, 50, generator(1, "train", 2), frames=12, augment=True)
    np.testing.assert_array_equal(short.corner, long.corner[:, :12])
    np.testing.assert_array_equal(short.digit, long.digit)
    np.testing.assert_array_equal(short.flip_vertical, long.flip_vertical)


def test_flips_happen_as_often_as_configured_and_never_without_augmentation() -> None:
    data = Data(flip_horizontal=0.25, flip_vertical=1.0)
    flipped = sample_trajectories(data, 4000, 5, generator(0, "train", 0), frames=1, augment=True)
    assert 0.22 < flipped.flip_horizontal.mean() < 0.28
    assert flipped.flip_vertical.all()
    plain = sample_trajectories(data, 4000, 5, generator(0, "train", 0), frames=1, augment=False)
    assert not plain.flip_horizontal.any()
    assert not plain.flip_vertical.any()
    np.testing.assert_array_equal(plain.corner, flipped.corner)


def test_digits_shrink_by_block_means() -> None:
    images = pictures(4)
    for size in (28, 14, 7, 4, 2):
        block = 28 // size
        means = images.reshape(4, size, block, size, block).mean((2, 4))
        np.testing.assert_array_equal(resize_digits(images, size), np.floor(means + 0.5).astype(np.uint8))
    assert resize_digits(images, 28) is not images


def test_sequences_can_be_cut_and_joined() -> None:
    drawn = sample_trajectories(Data(), 9, 50, generator(1, "train", 2), frames=3, augment=True)
    joined = concatenate([drawn[:4], drawn[4:]])
    for name in ("digit", "corner", "flip_horizontal", "flip_vertical"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(drawn, name))


def test_every_byte_becomes_its_quotient_by_255_to_the_last_bit() -> None:
    bytes_ = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    still = Trajectories(np.zeros((1, 1), np.int64), np.zeros((1, 1, 1, 2), np.int64), np.array([False]), np.array([False]))
    shown = render(still, bytes_, 16)
    np.testing.assert_array_equal(shown.numpy().ravel(), np.arange(256, dtype=np.float32) / np.float32(255))
