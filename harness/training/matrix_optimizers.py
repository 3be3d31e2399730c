"""Optimizers that torch lacks, or has for matrices only: Muon for convolutions, Lion, and several optimizers as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration, chosen for a steep slope at zero (Jordan et al. 2024)."""


def orthogonalized(matrices: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices, about: singular values end between 0.7 and 1.2.

    An iteration multiplies X by a polynomial of its Gram matrix, and polynomials of one matrix commute. So the small Gram matrices
    are iterated and X is multiplied once: a third of the time for a convolution's matrices, which are many times as wide as tall.
    In float32 it agrees with the iteration of X to 1e-6, and to 3e-4 where singular values span five decades.

    Args:
        matrices: (..., rows, columns), floating point.
        steps: iterations, at least 1.

    Returns:
        Of the same shape and type.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    gram = x @ x.mT
    product = factor = _factor(gram)
    for _ in range(steps - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        product = factor @ product
    found: Tensor = product @ x
    return found.mT if tall else found


def _factor(gram: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    factor = b * gram + c * (gram @ gram)
    factor.diagonal(dim1=-2, dim2=-1).add_(a)
    return factor


class MuonOptimizer(torch.optim.Optimizer):
    """Muon for parameters of two or more dimensions; see `harness.training.optimizers.Muon`.

    A parameter with an attribute `matrices` consists of so many matrices along its first dimension.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, momentum: float, steps: int, weight_decay: float
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "steps": steps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; `closure` is not called."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer: Tensor = state["momentum_buffer"]
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(buffer, group["momentum"])
                count = getattr(parameter, "matrices", 1)
                matrices = update.reshape(count, parameter.shape[0] // count, -1)
                matrices = orthogonalized(matrices, group["steps"])
                scale = max(1.0, matrices.shape[-2] / matrices.shape[-1]) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(matrices.reshape(parameter.shape), alpha=-group["lr"] * scale)


class LionOptimizer(torch.optim.Optimizer):
    """Lion; see `harness.training.optimizers.Lion`."""

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; `closure` is not called."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "exp_avg" not in state:
                    state["exp_avg"] = torch.zeros_like(parameter)
                momentum: Tensor = state["exp_avg"]
                update = parameter.grad.lerp(momentum, beta1).sign_()
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])
                momentum.lerp_(parameter.grad, 1 - beta2)


class Together(torch.optim.Optimizer):
    """Several optimizers, each of other parameters, as one: groups in their order, one state."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([{"params": list(group["params"])} for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Makes the parts' groups and states those of the whole."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        self.state = defaultdict(dict)
        for part in self.parts:
            self.state.update(part.state)
            part.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Hands every part its groups and the state of its parameters."""
        at = 0
        groups = iter(state_dict["param_groups"])
        for part in self.parts:
            part.state = defaultdict(dict)
            own = [next(groups) for _ in part.param_groups]
            count = sum(len(group["params"]) for group in own)
            renumbered = []
            first = at
            for group in own:
                size = len(group["params"])
                renumbered.append(group | {"params": list(range(first - at, first - at + size))})
                first += size
            state = {index - at: kept for index, kept in state_dict["state"].items() if at <= index < at + count}
            part.load_state_dict({"state": state, "param_groups": renumbered})
            at += count
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of each part; `closure` is not called."""
        for part in self.parts:
            part.step()
