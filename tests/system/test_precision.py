"""Torch's global switches come back."""

from __future__ import annotations

import pytest
import torch

from harness.system.precision import exact_float32


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_exact_float32_puts_every_switch_back(precision: str) -> None:
    def state() -> list[str]:
        backends = torch.backends
        places = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
        return [place.fp32_precision for place in places]

    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        expected = state()
        with exact_float32(torch.device("cpu")):
            assert state() == ["ieee"] * 4
        assert state() == expected
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)
