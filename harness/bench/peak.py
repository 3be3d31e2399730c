"""What the device reaches here and now: the best of several kernels, so that no step can reach more.

One kernel does not do: on CPUs of AMD torch's matrix product runs at half the speed of its convolutions, and a training step then
reached 125% of such a peak.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional as F

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}

CONVOLUTIONS = ((8, 128, 128, 64), (8, 80, 256, 8), (64, 64, 256, 16))
"""Batch, channels in and out, and side of the frames of the 3x3 convolutions that are timed, in either layout."""


def clock_of(device: torch.device) -> str:
    """Which clock times a contender: the processor's own for one thread on the CPU, which other programs cannot disturb."""
    return "processor" if device.type == "cpu" and torch.get_num_threads() == 1 else "wall"


def measure_peaks(device: torch.device, precisions: Sequence[str], seconds: float = 0.5) -> dict[str, Any]:
    """FLOP/s of the fastest kernel in each precision, and bytes/s of a large copy, by the clock that times the contenders.

    Args:
        seconds: how long to repeat each kernel; its fastest repetition counts.

    Returns:
        flops_per_second by precision, bytes_per_second, and kernels: by precision and kernel, what each reached.
    """
    kernels = {
        precision: {
            name: operations / _fastest(call, device, seconds) for name, operations, call in _kernels(device, precision)
        }
        for precision in precisions
    }
    source = torch.empty((2**30 if device.type == "cuda" else 2**28) // 4, device=device)
    target = torch.empty_like(source)
    return {
        "flops_per_second": {precision: max(reached.values()) for precision, reached in kernels.items()},
        "bytes_per_second": 2 * source.numel() * 4 / _fastest(lambda: target.copy_(source), device, seconds),
        "kernels": kernels,
    }


@torch.no_grad()
def _kernels(device: torch.device, precision: str) -> Iterator[tuple[str, float, Callable[[], object]]]:
    """Name, operations and call of each kernel."""
    kind = getattr(torch, precision)
    side = 8192 if device.type == "cuda" else 2048

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device).to(kind)

    a, b = random(side, side), random(side, side)
    yield f"product {side}", 2 * side**3, lambda: torch.mm(a, b)
    for batch, channels, out, size in CONVOLUTIONS:
        operations = 2 * batch * channels * out * 9 * size**2
        for layout, name in ((torch.contiguous_format, "NCHW"), (torch.channels_last, "NHWC")):
            frames = random(batch, channels, size, size).to(memory_format=layout)
            weight = random(out, channels, 3, 3).to(memory_format=layout)

            def convolve(frames: torch.Tensor = frames, weight: torch.Tensor = weight) -> object:
                return F.conv2d(frames, weight, padding=1)

            yield f"convolution {batch}x{channels}->{out} at {size}x{size} {name}", operations, convolve


@torch.no_grad()
def _fastest(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """The shortest time of a call; each measurement repeats it for a few milliseconds, which the clocks can resolve."""
    clock = CLOCKS[clock_of(device)]

    def spent(times: int) -> float:
        started = clock()
        for _ in range(times):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - started

    spent(2)
    times = max(1, round(0.02 / max(spent(1), 1e-6)))
    found: list[float] = []
    while len(found) < 3 or sum(found) < seconds:
        found.append(spent(times))
    return min(found) / times
