"""Weights that follow from a formula, so that a golden file holds outputs only and a test makes the same weights again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "golden"


def formula(index: int, name: str, shape: Iterable[int], gain: float = 1.5) -> Tensor:
    """The value of the entry at place `index` of a state dict: a sine of the element's number, float32.

    A kernel is scaled by `gain` and its fan-in, so that signals neither die nor saturate. Vectors are biases around 0; those
    of normalisations (`weight`) and running variances lie around 1.
    """
    shape = tuple(shape)
    wave = torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * 0.37 + index).reshape(shape).float()
    if len(shape) > 1:
        return wave * gain / math.sqrt(math.prod(shape[1:]))
    return wave * 0.2 + (1.0 if name.endswith(("weight", "running_var")) else 0.0)


def formula_weights(names: Iterable[str], shapes: Callable[[str], Iterable[int]], gain: float = 1.5) -> dict[str, Tensor]:
    """The formula over a state dict's names, in its order; counters (`num_batches_tracked`) are left out."""
    return {
        name: formula(index, name, shapes(name), gain)
        for index, name in enumerate(names)
        if not name.endswith("num_batches_tracked")
    }


def load_golden(name: str) -> dict[str, Any]:
    """The arrays of golden/NAME.npz; `names` is the list of OpenSTL's state-dict names, in order."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return {
            key: [str(one) for one in arrays[key]] if key == "names" else torch.from_numpy(arrays[key])
            for key in arrays.files
        }


def set_formula_weights(
    model: nn.Module, names: Iterable[str], translate: Callable[[str], str | None], gain: float = 1.5
) -> None:
    """Gives a network the weights that OpenSTL's had under the formula. Fails where an entry is left without one."""
    state = model.state_dict()
    left = set(state)
    for index, name in enumerate(names):
        target = translate(name)
        if target is None:
            continue
        state[target].copy_(formula(index, name, state[target].shape, gain))
        left.discard(target)
    assert not left, f"no entry of OpenSTL's gives {sorted(left)}"


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, as a share of the largest magnitude of `theirs`."""
    return float((ours.detach() - theirs).abs().max() / theirs.abs().max())
