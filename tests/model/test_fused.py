"""The Triton kernels do what the plain code does, and where they do not they are not used. Here in Triton's interpreter."""

from __future__ import annotations

import platform
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from interpreted_kernels import TOLERANCE, forget
from torch import Tensor

from harness.model import fused
from harness.model import pointwise as plain
from harness.model.cell import ConvLSTM

pytestmark = [
    pytest.mark.usefixtures("no_kernels_known"),
    pytest.mark.skipif(
        (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="Triton is made for Linux on x86-64"
    ),
]

CPU = torch.device("cpu")
LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])


@pytest.fixture
def used(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on CUDA: layers use the kernels when they are sound."""
    monkeypatch.setattr(fused, "takes", lambda gates: fused.ready(gates.device, gates.dtype))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(found: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> None:
    torch.testing.assert_close(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@LAYOUTS
def test_what_is_read_may_lie_in_any_order(layout: torch.memory_format, kernels: ModuleType) -> None:
    sums = noise(2, 12, 4, 6).contiguous(memory_format=layout)
    state = noise(6, 4, 3, 2).permute(3, 2, 1, 0)
    grads = torch.ones(()).expand(2, 3, 4, 6), noise(2, 4, 6, 3).permute(0, 3, 1, 2)
    results = []
    for module in (fused, plain):
        gates, hidden = sums.clone(), torch.zeros(2, 3, 4, 6).contiguous(memory_format=layout)
        cell = module.lstm_update(gates, state, hidden)
        results.append([cell, hidden, module.lstm_update_backward(gates, state, cell, *grads), gates])
    close(*results, torch.float32)


def test_a_state_of_another_shape_is_refused(kernels: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="expanded size"):
        fused.lstm_update(noise(2, 12, 4, 6), noise(2, 3, 6, 4), noise(2, 3, 4, 6))


@LAYOUTS
def test_a_layer_with_them_is_the_oracle(layout: torch.memory_format, used: None) -> None:
    torch.manual_seed(0)
    first, second = (ConvLSTM(2, 4, 3, constant_channels=3).to(memory_format=layout) for _ in range(2))  # type: ignore[call-overload]
    results = []
    for reference in (False, True):
        first.plain = second.plain = reference
        shown, constant = noise(3, 2, 2, 4, 6).requires_grad_(), noise(2, 3, 4, 6).requires_grad_()
        outputs, state = first(shown, constant=constant)
        rolled, (_, cell) = second(None, state, steps=2)
        (outputs.square().sum() + rolled.square().sum() + cell.sum()).backward()
        parameters = [one for layer in (first, second) for one in layer.parameters() if one.grad is not None]
        assert len(parameters) == 4 + 2
        results.append([outputs, rolled, cell, *(one.grad for one in (shown, constant, *parameters))])
        for one in parameters:
            one.grad = None
    assert fused._sound == {(CPU, torch.float32): True}
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


def test_a_second_backward_pass_is_refused(used: None) -> None:
    outputs, _ = ConvLSTM(1, 2, 3)(noise(2, 1, 1, 4, 4))
    loss = outputs.sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


# --- whether to use them


def test_the_trial_passes_where_the_kernels_are_right_and_draws_no_random_numbers(kernels: ModuleType) -> None:
    before = torch.get_rng_state()
    assert all(fused.ready(CPU, dtype) for dtype in TOLERANCE)
    assert torch.equal(torch.get_rng_state(), before)
    assert not fused.ready(CPU, torch.float64)


class Wrong:
    """A kernel that does `also` to what was written, in place of it or afterwards."""

    def __init__(self, kernel: Any, spoils: Any) -> None:
        self.kernel, self.spoils = kernel, spoils

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*arguments: Any, **options: Any) -> None:
            self.kernel[grid](*arguments, **options)
            self.spoils(*arguments)

        return launch


def fails(*_: Any) -> None:
    raise RuntimeError("no kernel image\n  is available")


@pytest.mark.parametrize(
    ("name", "spoils", "why"),
    [
        ("update", lambda gates, before, cell, *_: cell.mul_(1.1), "not close"),
        ("update", lambda gates, before, cell, hidden, *_: hidden is not None and hidden.zero_(), "not close"),
        ("update", lambda gates, *_: gates[:, -1].zero_(), "not close"),
        ("update", lambda gates, before, cell, hidden, *_: hidden is None and cell.add_(0.1), "not close"),
        ("update_backward", lambda *arguments: arguments[5].fill_(float("nan")), "not close"),
        ("update_backward", lambda gates, before, *_: before is None and gates.add_(0.1), "not close"),
        ("update_backward", fails, "RuntimeError: no kernel image is available"),
    ],
)
def test_a_wrong_kernel_is_noticed_named_once_and_not_used(
    name: str, spoils: Any, why: str, kernels: ModuleType, used: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, name, Wrong(getattr(kernels, name), spoils))
    with pytest.warns(
        RuntimeWarning, match=f"kernels are off for float32 on cpu, results are right but slower.*{why}"
    ) as found:
        falls_back(monkeypatch)
    assert len(found) == 1
    assert "\n" not in str(found[0].message)


def test_without_triton_the_plain_code_is_used(monkeypatch: pytest.MonkeyPatch, used: None) -> None:
    forget()
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.warns(RuntimeWarning, match="slower.*triton"):
        falls_back(monkeypatch)


def falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layers, one after the other, compute what they do where nobody has heard of the kernels."""
    torch.manual_seed(0)
    layer, shown = ConvLSTM(1, 2, 3), noise(3, 1, 1, 4, 4)
    found = [layer(shown)[0], layer(shown)[0]]
    monkeypatch.setattr(fused, "takes", lambda gates: False)
    expected = layer(shown)[0]
    assert all(torch.equal(one, expected) for one in found)


def test_on_the_cpu_they_are_not_even_tried() -> None:
    assert not fused.takes(noise(1, 4, 2, 2))
    ConvLSTM(1, 2, 3)(noise(2, 1, 1, 4, 4))
    assert "harness.model.kernels" not in sys.modules


# --- for a GPU, without one
