"""How the digits move: the classic Moving MNIST generator (Srivastava et al., 2015, arXiv:1502.04681), vectorised.

Every digit starts uniformly in the unit square, in a uniform direction. For every frame it takes a step, is put on the wall
where it passed one, and that velocity turns: this is not a reflection. Positions are scaled to the free canvas and
truncated. Digits are drawn one over the other with a maximum.

Trajectories are computed on the host in float64 and shipped as integers: sines, cosines and fused multiply-adds of an
accelerator may differ in the last bit, which truncation would turn into a pixel.

Letters of the shapes: B sequences, T frames, D digits in a sequence, H and W pixels, N digits to choose from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_EXACT, _REST = np.float32(3), np.float32(1 / (3 * 255))
"""A byte over 255 without a division, which would take most of the time: the product with the first is exact, and that with
the second rounds to the float32 of the division, for every byte. A single factor of 1 / 255 does not."""
_CACHED_BYTES = 1 << 19
_LINE = 64


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Which digits, where in every frame, and how the sequence is flipped."""

    digit: NDArray[np.int64]
    """(B, D): index of the digit."""
    corner: NDArray[np.int64]
    """(B, T, D, 2): top and left of the digit, in pixels, before flipping."""
    flip_horizontal: NDArray[np.bool_]
    """(B,): the whole sequence is mirrored left to right."""
    flip_vertical: NDArray[np.bool_]
    """(B,): the whole sequence is mirrored top to bottom."""

    def __len__(self) -> int:
        return len(self.digit)

    def __getitem__(self, part: slice) -> Trajectories:
        return Trajectories(self.digit[part], self.corner[part], self.flip_horizontal[part], self.flip_vertical[part])


def concatenate(parts: list[Trajectories]) -> Trajectories:
    """The sequences of all parts, in order."""
    return Trajectories(
        np.concatenate([part.digit for part in parts]),
        np.concatenate([part.corner for part in parts]),
        np.concatenate([part.flip_horizontal for part in parts]),
        np.concatenate([part.flip_vertical for part in parts]),
    )


def sample_trajectories(
    data: Any, count: int, available_digits: int, rng: np.random.Generator, *, frames: int, augment: bool
) -> Trajectories:
    """Draws `count` sequences of `frames` frames with digits 0..available_digits - 1.

    All random numbers are drawn before the first step, so the same `rng` state with fewer frames gives the same sequences
    cut short. Without `augment` nothing is flipped; everything else stays the same. `data` has the settings of
    `harness.data.moving_mnist.MovingMnist`.
    """
    shape = (count, data.digits)
    digit = rng.integers(0, available_digits, shape)
    start_BD2 = rng.random((*shape, 2))
    angle_BD = rng.random(shape) * (2 * np.pi)
    chance_2B = rng.random((2, count))
    direction_BD2 = np.stack((np.sin(angle_BD), np.cos(angle_BD)), axis=-1)
    chosen = (data.flip_horizontal, data.flip_vertical) if augment else (0.0, 0.0)
    return Trajectories(
        digit=digit,
        corner=walk(start_BD2, direction_BD2, frames=frames, speed=data.speed, free=data.canvas - data.digit_size),
        flip_horizontal=chance_2B[0] < chosen[0],
        flip_vertical=chance_2B[1] < chosen[1],
    )


def walk(
    start_BD2: NDArray[np.float64], direction_BD2: NDArray[np.float64], *, frames: int, speed: float, free: int
) -> NDArray[np.int64]:
    """Top-left corners (B, T, D, 2) in pixels, 0..free, of digits that start in [0, 1]^2 and step `speed` a frame."""
    velocity = direction_BD2 * speed
    position_TBD2 = np.empty((frames, *start_BD2.shape))
    low, high = np.zeros(()), np.ones(())  # arrays, as converting a number takes longer than comparing a batch with it
    below, hit = np.empty(start_BD2.shape), np.empty(start_BD2.shape, np.bool_)
    before = start_BD2
    for position in position_TBD2:
        np.add(before, velocity, out=position)
        np.maximum(position, low, out=position)
        np.minimum(position, high, out=position)
        np.equal(position, np.floor(position, out=below), out=hit)  # now 0 or 1: it was on a wall, or past it
        np.negative(velocity, out=velocity, where=hit)
        before = position
    position_TBD2 *= free
    return np.ascontiguousarray(position_TBD2.astype(np.int64).swapaxes(0, 1))


def resize_digits(digits: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(N, 28, 28) to (N, size, size) by the means of square blocks, halves rounded up; `size` divides 28. A new array."""
    block = digits.shape[1] // size
    if block == 1:
        return digits.copy()
    sums = digits.reshape(-1, size, block, size, block).sum(axis=(2, 4), dtype=np.uint32)
    means: NDArray[np.uint8] = ((2 * sums + block * block) // (2 * block * block)).astype(np.uint8)
    return means


def render(trajectories: Trajectories, digits: torch.Tensor, canvas: int) -> torch.Tensor:
    """Frames (B, T, 1, canvas, canvas), float32 in [0, 1], on the device of `digits`, which are uint8 (N, size, size).

    Every pixel is the largest of its digits' bytes, over 255: the same bits on every device.
    """
    import torch

    if digits.device.type != "cpu":
        return render_gather(trajectories, digits, canvas)
    frames_BTCHW = _aligned((*trajectories.corner.shape[:2], 1, canvas, canvas))
    done = 0
    for part_BTCHW in _paste(trajectories, digits.numpy(), canvas):
        place = frames_BTCHW[done : (done := done + len(part_BTCHW))]
        # torch turns bytes into floats in half of numpy's time, numpy multiplies in half of torch's.
        torch.from_numpy(place).copy_(torch.from_numpy(part_BTCHW))
        place *= _EXACT
        place *= _REST
    return torch.from_numpy(frames_BTCHW)


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An empty array that starts with a line of the cache: where vectors cross lines, a tenth of rendering is lost."""
    size = math.prod(shape) * 4
    raw = np.empty(size + _LINE, np.uint8)  # torch.empty is aligned, but asks the system for fresh pages each time
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size].view(np.float32).reshape(shape)


def render_bytes(trajectories: Trajectories, digits: NDArray[np.uint8], canvas: int) -> NDArray[np.uint8]:
    """The same frames as bytes, (B, T, 1, canvas, canvas), uint8, on the host."""
    return np.concatenate(list(_paste(trajectories, digits, canvas)))


def _paste(trajectories: Trajectories, digits: NDArray[np.uint8], canvas: int) -> Iterator[NDArray[np.uint8]]:
    """The frames as bytes, some sequences at a time: few enough to stay in the cache until they are used."""
    corner_BTD2, patch_BDhw = _flipped(trajectories, digits[trajectories.digit], canvas)
    batch, frames, count, _ = corner_BTD2.shape
    size, pixels = digits.shape[-1], canvas * canvas
    # In a flat canvas, moving a digit down y and right x is a shift by y * canvas + x, and no row wraps, as the digit stays
    # inside. So with enough zeros before the digit, each of its frames is one contiguous window, copied as one opaque item.
    farthest = (canvas - size) * (canvas + 1)
    padded_BDP = np.zeros((batch, count, farthest + pixels), np.uint8)
    padded_BDP[:, :, farthest:].reshape(batch, count, canvas, canvas)[..., :size, :size] = patch_BDhw
    window = np.ndarray((padded_BDP.size - pixels + 1,), np.dtype((np.void, pixels)), padded_BDP, strides=(1,))
    first_BD = np.arange(farthest, padded_BDP.size, farthest + pixels).reshape(batch, 1, count)
    start_DN = (first_BD - corner_BTD2[..., 0] * canvas - corner_BTD2[..., 1]).transpose(2, 0, 1).reshape(count, -1)
    step = frames * max(1, _CACHED_BYTES // (frames * pixels))
    for first in range(0, batch * frames, step):
        first_digit, *others = start_DN[:, first : first + step]
        frames_NP = window[first_digit].view(np.uint8)
        for start_N in others:
            np.maximum(frames_NP, window[start_N].view(np.uint8), out=frames_NP)
        yield frames_NP.reshape(-1, frames, 1, canvas, canvas)


def _flipped(
    trajectories: Trajectories, patch_BDhw: NDArray[np.uint8], canvas: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Corners and patches of the flipped sequences: mirroring a few digits is cheaper than mirroring their frames."""
    corner_BTD2 = trajectories.corner
    farthest = canvas - patch_BDhw.shape[-1]
    if trajectories.flip_vertical.any() or trajectories.flip_horizontal.any():
        corner_BTD2, patch_BDhw = corner_BTD2.copy(), patch_BDhw.copy()
        vertical, horizontal = np.flatnonzero(trajectories.flip_vertical), np.flatnonzero(trajectories.flip_horizontal)
        corner_BTD2[vertical, :, :, 0] = farthest - corner_BTD2[vertical, :, :, 0]
        patch_BDhw[vertical] = patch_BDhw[vertical][:, :, ::-1]
        corner_BTD2[horizontal, :, :, 1] = farthest - corner_BTD2[horizontal, :, :, 1]
        patch_BDhw[horizontal] = patch_BDhw[horizontal][:, :, :, ::-1]
    return corner_BTD2, patch_BDhw


def render_gather(trajectories: Trajectories, digits: torch.Tensor, canvas: int) -> torch.Tensor:
    """`render` as one gather a digit, for accelerators: every pixel of the canvas looks up its place in the digit."""
    import torch

    device, size = digits.device, digits.shape[-1]

    def ship(array: NDArray[np.int64] | NDArray[np.bool_]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    # A border of zeros stands for everything outside a digit.
    padded = torch.nn.functional.pad(digits, (0, 1, 0, 1))
    digit_BD, corner_BTD2 = ship(trajectories.digit), ship(trajectories.corner)
    pixel = torch.arange(canvas, device=device)
    pixels = []
    for flip in (trajectories.flip_vertical, trajectories.flip_horizontal):
        pixels.append(torch.where(ship(flip)[:, None], canvas - 1 - pixel, pixel))
    frames_BTHW: torch.Tensor | None = None
    for d in range(digit_BD.shape[1]):
        place = []
        for axis in (0, 1):
            inside = pixels[axis][:, None, :] - corner_BTD2[:, :, d, axis, None]
            place.append(torch.where((inside >= 0) & (inside < size), inside, size))
        drawn = padded[digit_BD[:, d, None, None, None], place[0][..., :, None], place[1][..., None, :]]
        frames_BTHW = drawn if frames_BTHW is None else torch.maximum(frames_BTHW, drawn)
    assert frames_BTHW is not None
    return (frames_BTHW.to(torch.float32) / 255)[:, :, None]
