"""Torch's global switches: precision, determinism, and what a block of code puts back when it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch

# Made when the module is loaded, so type checkers do not see all of them.
_backends: Any = torch.backends
_PRECISION_SWITCHES = (_backends.cuda.matmul, _backends.cudnn.conv, _backends.mkldnn.matmul, _backends.mkldnn.conv)


class Switches(NamedTuple):
    """Torch's switches that are global to the process and that trainings set."""

    deterministic: bool
    benchmark: bool
    precision: tuple[str, ...]
    """Of float32 products, by `_PRECISION_SWITCHES`."""


def switches() -> Switches:
    """As they are now."""
    # The per-operator switches alone: torch raises when the older `allow_tf32` is read after both kinds were set.
    return Switches(
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        tuple(switch.fp32_precision for switch in _PRECISION_SWITCHES),
    )


def put_back(kept: Switches) -> None:
    """Sets them as they were."""
    now = switches()
    if kept.deterministic != now.deterministic:  # importing what this switch touches takes seconds
        torch.use_deterministic_algorithms(kept.deterministic)
    torch.backends.cudnn.benchmark = kept.benchmark
    for switch, before, value in zip(_PRECISION_SWITCHES, now.precision, kept.precision, strict=True):
        if value != before:
            switch.fp32_precision = value


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Within it float32 means float32 on `device`: no autocast, no TF32, no bfloat16 inside float32 matmuls.

    Restores the effective precision of every switch on leaving. The switches are global to the process.
    """
    saved = [switch.fp32_precision for switch in _PRECISION_SWITCHES]
    try:
        for switch in _PRECISION_SWITCHES:
            switch.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for switch, precision in zip(_PRECISION_SWITCHES, saved, strict=True):
            switch.fp32_precision = precision


@contextmanager
def torch_switches(device: torch.device, deterministic: bool, precision: str) -> Iterator[None]:
    """Sets torch's global switches for a training and puts them and its random generators back."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it torch refuses to use cuBLAS then
    before = switches()
    put_back(before._replace(deterministic=deterministic, benchmark=device.type == "cuda" and not deterministic))
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
            if precision == "float32":
                stack.enter_context(exact_float32(device))
            yield
    finally:
        put_back(before)
