"""What tests of the model share."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from interpreted_kernels import forget

from harness.model import fused


@pytest.fixture
def no_kernels_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is known of the kernels, before and after; Triton decides when they are imported whether it interprets them."""
    torch.set_num_threads(1)
    monkeypatch.setattr(fused, "_sound", {})
    forget()
    yield
    forget()


@pytest.fixture
def kernels(no_kernels_known: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    return importlib.import_module("harness.model.kernels")
