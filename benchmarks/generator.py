"""Moving MNIST on the CPU: the vectorised generator against the plain loop reference of the tests, in one run.

Both produce the same thing: float32 batches (B, 20, 1, 64, 64) in [0, 1] of two 28-pixel digits, with fresh random
trajectories, unflipped. Their turns alternate, so that a busy machine slows both, and each turn has a batch that is not
timed. Both have one thread, and its processor time is what counts: not what other programs took. What these do to caches
and memory counts all the same, and slows the vectorised one more, which writes as fast as memory takes it; so besides the
median of the turns' ratios there is that of the fastest turns, which the others disturbed least.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import loop_reference
import torch

from harness.data import load_digits
from harness.data.draws import generator
from harness.data.movement import render, sample_trajectories
from harness.data.moving_mnist import MovingMnist as Data

BATCHES = 8
"""Batches of one turn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--batch", type=int, default=32, help="sequences a batch (default 32)")
    parser.add_argument("--repeats", type=int, default=101, help="timed turns of each contender (default 101)")
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # the plain loop has one thread
    data = Data(canvas=64, digit_size=28, digits=2)
    images = load_digits().train
    digits = torch.from_numpy(images.copy())
    rng = random.Random(0)

    def loop(_: int) -> None:
        loop_reference.generate(images, arguments.batch, data.canvas, data.digits, data.total_frames, data.speed, rng)

    def vectorised(turn: int) -> None:
        drawn = sample_trajectories(
            data, arguments.batch, len(digits), generator(0, "train", turn), frames=data.total_frames, augment=False
        )
        render(drawn, digits, data.canvas)

    contenders = {"loop": loop, "vectorised": vectorised}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(arguments.repeats):
        for name, contender in contenders.items():
            contender(turn)  # not timed: the other's turn left caches and the allocator in its own state
            start = time.thread_time()
            for batch in range(BATCHES):
                contender(turn * BATCHES + batch)
            rates[name].append(BATCHES * arguments.batch / (time.thread_time() - start))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratio = statistics.median(ours / theirs for ours, theirs in zip(rates["vectorised"], rates["loop"], strict=True))
    fastest = max(rates["vectorised"]) / max(rates["loop"])
    if arguments.json:
        rows = [
            {"contender": name, "sequences_per_second": medians[name], "slowest": min(values), "fastest": max(values)}
            for name, values in rates.items()
        ]
        print(
            json.dumps(
                {
                    "generator": rows,
                    "ratio": ratio,
                    "ratio_of_fastest": fastest,
                    "batch": arguments.batch,
                    "repeats": arguments.repeats,
                }
            )
        )
        return
    print(f"{'Moving MNIST on CPU, 64x64':30}{'sequences/s':>12}{'slowest':>12}{'fastest':>12}")
    for name, values in rates.items():
        print(f"{name:30}{medians[name]:12,.0f}{min(values):12,.0f}{max(values):12,.0f}")
    print(f"{'ratio, median of the turns':30}{ratio:11.1f}x")
    print(f"{'ratio of the fastest turns':30}{fastest:11.1f}x")


if __name__ == "__main__":
    main()
