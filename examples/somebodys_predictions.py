"""Somebody's predictions beside ours: their program reads the test sequences and writes a file of predictions a seed.

    python examples/somebodys_predictions.py --preset cpu --seeds 5

On the command line: harness data export --split test --out test.npy, then harness score 0.npy 1.npy 2.npy --name least-squares
"""

import argparse

import numpy as np

import harness

parser = argparse.ArgumentParser()
parser.add_argument("--preset", default="tiny")
parser.add_argument("--seeds", type=int, default=3)
asked = parser.parse_args()


def their_program(shown_NTCHW, horizon, seed):
    """Each pixel of the next frame from the 3x3 pixels around it in the last two frames, by least squares on what is shown."""

    def around(before_NCHW, last_NCHW):
        padded = [np.pad(one, ((0, 0), (0, 0), (1, 1), (1, 1))) for one in (before_NCHW, last_NCHW)]
        height, width = last_NCHW.shape[-2:]
        parts = [one[..., y : y + height, x : x + width] for one in padded for y in range(3) for x in range(3)]
        return np.stack(parts, -1)

    chosen = np.random.default_rng(seed).integers(0, len(shown_NTCHW), len(shown_NTCHW))  # its seed: which sequences it fits
    known = around(shown_NTCHW[chosen, -3], shown_NTCHW[chosen, -2]).reshape(-1, 18)
    weights, *_ = np.linalg.lstsq(known, shown_NTCHW[chosen, -1].reshape(-1), rcond=None)
    frames = [shown_NTCHW[:, -2], shown_NTCHW[:, -1]]
    for _ in range(horizon):
        frames.append(around(*frames[-2:]) @ weights)
    return np.stack(frames[2:], 1).clip(0, 1).astype(np.float32)


about = harness.export("test.npy", preset=asked.preset)
sequences = np.load("test.npy")
files = [f"{seed}.npy" for seed in range(asked.seeds)]
for seed, file in enumerate(files):
    np.save(file, their_program(sequences[:, : about["shown"]], about["horizon"], seed))

theirs = harness.score(files, "least-squares", preset=asked.preset)
harness.ablate("base", plan="base", preset=asked.preset, seeds=asked.seeds)  # ours, with the same seeds
runs = harness.open_store()
print(runs.frame().pivot_table("value", "variant", "metric").round(4).to_string(), end="\n\n")
print(runs.verdicts()[["variant", "difference", "low", "high", "verdict"]].to_string(index=False))
