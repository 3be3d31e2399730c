"""The contract, by itself and together with a built-in variant; then what is special about this one."""

from __future__ import annotations

import torch
from harness_dilated import VARIANT

from harness.model.forecaster import build_model
from harness.presets import preset
from harness.testing import VariantContract


class TestDilated(VariantContract):
    variant = "dilated"


class TestDilatedWithResidual(VariantContract):
    variant = "dilated+residual"


def test_starts_as_the_base() -> None:
    base = preset("tiny")
    ours = base.replace(VARIANT.changes)
    frames = torch.rand(2, 3, 1, 16, 16)
    with torch.no_grad():
        expected = build_model(base.architecture, 1, seed=3)(frames, 3)
        assert torch.equal(build_model(ours.architecture, 1, seed=3)(frames, 3), expected)
