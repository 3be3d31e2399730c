"""The Triton kernels, in Triton's interpreter, are the plain code; compiled they move whole vectors."""

from __future__ import annotations

import importlib
import platform
from pathlib import Path
from types import ModuleType

import pytest
import torch
from interpreted_kernels import TOLERANCE
from torch import Tensor

from harness.model import fused
from harness.model import pointwise as plain

pytestmark = [
    pytest.mark.usefixtures("no_kernels_known"),
    pytest.mark.skipif(
        (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="Triton is made for Linux on x86-64"
    ),
]

LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(found: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> None:
    torch.testing.assert_close(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


# Less than a program works on, and two programs of which the second is not filled.
@pytest.mark.parametrize("size", [(2, 3, 1, 5), (3, 5, 7, 11)], ids=str)
@pytest.mark.parametrize("first", [True, False], ids=["first step", "later step"])
@LAYOUTS
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_both_passes_of_a_step_are_those_of_the_plain_code(
    dtype: torch.dtype, layout: torch.memory_format, first: bool, size: tuple[int, int, int, int], kernels: ModuleType
) -> None:
    batch, channels, height, width = size
    assert kernels.BLOCK == 1024
    sums = 3 * noise(batch, 4 * channels, height, width)
    sums[0, 0, 0, 0], sums[-1, -1, -1, -1] = 200, -200  # no overflow
    before = None if first else noise(*size, seed=1)
    results = []
    for module in (fused, plain):
        gates = sums.to(dtype, copy=True).contiguous(memory_format=layout)
        hidden = torch.empty(size, dtype=dtype).contiguous(memory_format=layout)
        results.append([module.lstm_update(gates, before, hidden), gates, hidden])
    close(*results, dtype)
    assert results[0][0].dtype == torch.float32
    _, values, _ = results[1]
    cell = plain.lstm_cell(values, before)
    close([fused.lstm_cell(values, before)], [cell], dtype)
    results = []
    for module in (fused, plain):
        gates = values.clone()
        given = noise(*size, seed=2).to(dtype), noise(*size, seed=3)
        results.append([module.lstm_update_backward(gates, before, cell, *given), gates])
    close(*results, dtype)


@pytest.mark.parametrize("kind", ["bf16", "fp16", "fp32"])
def test_they_compile_for_a_gpu_and_move_whole_vectors(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the interpreter cannot see: it runs Python, the compiler takes a part of it."""
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernels = importlib.import_module("harness.model.kernels")
    for kernel, constants in (
        (kernels.update, {"squash": True}),
        (kernels.update, {"squash": True, "before": None}),
        (kernels.update, {"squash": False, "hidden": None}),
        (kernels.update_backward, {}),
        (kernels.update_backward, {"before": None}),
    ):
        constants = {"block": kernels.BLOCK, **constants}
        types = dict.fromkeys(kernel.arg_names, "*fp32") | dict.fromkeys(("gates", "hidden", "hidden_grad"), f"*{kind}")
        types |= {"count": "i32", "inner": "i32"} | dict.fromkeys(constants, "constexpr")
        places = {name: (place,) for place, name in enumerate(kernel.arg_names)}
        source = ASTSource(
            kernel,
            {name: types[name] for name in kernel.arg_names},
            {places[name]: value for name, value in constants.items()},
            {place: [["tt.divisibility", 16]] for name, place in places.items() if name not in constants},
        )
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=fused.OPTIONS)
        moves = [line for line in made.asm["ptx"].splitlines() if "ld.global" in line or "st.global" in line]
        assert moves
        assert all(".v4." in line for line in moves)
        assert made.asm["cubin"]
