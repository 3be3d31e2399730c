"""Writes test or validation sequences to a file, for programs that predict them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.source import Source
from harness.errors import HarnessError, RequestError, unknown
from harness.system import files

SPLITS = ("test", "validation")


def export(source: Source, split: str, out: Path) -> dict[str, Any]:
    """Writes a split's sequences, float32 (N, T, C, H, W) in [0, 1], to the .npy file `out`, and what they are to a .json beside.

    Returns the latter: split, file, shape, shown, horizon and, of test sequences, their digest. Raises RequestError for another
    split or file name, HarnessError when the file cannot be written.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, label="choices")
    if out.suffix != ".npy":
        raise RequestError(f"--out {out}: choose a file that ends in .npy")
    count = source.test_sequences if split == "test" else source.validation_sequences
    size = min(count, 100)
    batches = source.test(size, "cpu") if split == "test" else source.validation(size, "cpu")
    shown, horizon = source.data.input_frames, source.data.horizon
    shape = (count, shown + horizon, source.channels, source.height, source.width)
    about = {"split": split, "file": out.name, "shape": list(shape), "shown": shown, "horizon": horizon}
    if split == "test":
        about["test_digest"] = source.test_digest()
    try:
        with files.replacing(out) as temporary:
            written = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
            start = 0
            for frames in batches:
                written[start : start + len(frames)] = frames.numpy()
                start += len(frames)
            written.flush()
            del written
        files.write(out.with_suffix(".json"), (json.dumps(about, indent=1) + "\n").encode())
    except OSError as error:
        raise HarnessError(f"cannot write {out}: {error.strerror or error}; free space or choose another file") from error
    return about
