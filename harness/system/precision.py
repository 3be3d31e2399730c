"""Torch's global switches: precision, determinism, and what a block of code puts back when it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

# Made when the module is loaded, so type checkers do not see all of them.
_backends: Any = torch.backends
_PRECISION_SWITCHES = (_backends.cuda.matmul, _backends.cudnn.conv, _backends.mkldnn.matmul, _backends.mkldnn.conv)


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Within it float32 means float32 on `device`: no autocast, no TF32, no bfloat16 inside float32 matmuls.

    Restores the effective precision of every switch on leaving. The switches are global to the process.
    """
    # The per-operator switches alone: torch raises when the older `allow_tf32` is read after both kinds were set.
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
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if deterministic != before[0]:  # importing what this switch touches takes seconds
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = device.type == "cuda" and not deterministic
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
            if precision == "float32":
                stack.enter_context(exact_float32(device))
            yield
    finally:
        if deterministic != before[0]:
            torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
