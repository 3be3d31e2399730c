"""Optimizers as components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.component import Component, setting, slot_field
from harness.errors import RequestError

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class AdamW(Component):
    """Adam with decoupled weight decay (Loshchilov, Hutter, arXiv:1711.05101), as torch has it."""

    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "adamw"
    lr: float = setting(3e-3, "peak learning rate", above=0, at_most=100)
    weight_decay: float = setting(1e-5, "weight decay", at_least=0, at_most=100)

    def build(self, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        """The optimizer of these parameters; fused, which takes a fifth of the time on a CPU as well."""
        import torch

        parameters = [parameter for _, parameter in named_parameters]
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, fused=True)


@dataclass(frozen=True, kw_only=True)
class SGD(Component):
    """Stochastic gradient descent with momentum, as torch has it."""

    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "sgd"
    lr: float = setting(0.1, "peak learning rate", above=0, at_most=100)
    momentum: float = setting(0.9, "momentum", at_least=0, at_most=0.9999)
    nesterov: bool = setting(True, "Nesterov's momentum; needs a momentum above 0")
    weight_decay: float = setting(0.0, "weight decay, as a term of the gradient", at_least=0, at_most=100)

    def build(self, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        import torch

        return torch.optim.SGD(
            [parameter for _, parameter in named_parameters],
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,
            weight_decay=self.weight_decay,
        )


@dataclass(frozen=True, kw_only=True)
class Lion(Component):
    """The sign of an interpolated momentum (Chen et al. 2023, arXiv:2302.06675), with decoupled weight decay."""

    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "lion"
    lr: float = setting(3e-4, "peak learning rate: a third to a tenth of AdamW's", above=0, at_most=100)
    beta1: float = setting(0.9, "weight of the momentum in the update", at_least=0, at_most=0.9999)
    beta2: float = setting(0.99, "decay of the momentum", at_least=0, at_most=0.9999)
    weight_decay: float = setting(1e-4, "weight decay", at_least=0, at_most=100)

    def build(self, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        from harness.training.matrix_optimizers import LionOptimizer

        parameters = [parameter for _, parameter in named_parameters]
        return LionOptimizer(parameters, lr=self.lr, betas=(self.beta1, self.beta2), weight_decay=self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class Muon(Component):
    """Momentum made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for weights of two and more dimensions.

    A convolution's weight is flattened to (out, in * height * width); the gates of a recurrent layer are matrices of their own
    (`harness.model.build.mark_gates`). Biases, gains and the head are left to `others`.
    """

    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "muon"
    lr: float = setting(0.02, "peak learning rate", above=0, at_most=100)
    momentum: float = setting(0.95, "Nesterov's momentum", at_least=0, at_most=0.9999)
    steps: int = setting(5, "Newton-Schulz iterations", at_least=1, at_most=20)
    weight_decay: float = setting(0.01, "weight decay", at_least=0, at_most=100)
    others: Any = slot_field(AdamW(lr=5e-3), "slot: the optimizer of all other parameters", takes="training.optimizer")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.others is None or isinstance(self.others, Muon):
            raise RequestError(
                "training.optimizer.others needs an optimizer for biases and the head, such as adamw(lr=5e-3)"
            )

    def build(self, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        from harness.training.matrix_optimizers import MuonOptimizer, Together

        given = list(named_parameters)
        ours = [one for name, one in given if one.numel() > max(one.shape, default=1) and not name.startswith("head.")]
        taken = set(map(id, ours))
        rest = [(name, parameter) for name, parameter in given if id(parameter) not in taken]
        if not ours:
            built: torch.optim.Optimizer = self.others.build(rest)
            return built
        muon = MuonOptimizer(ours, lr=self.lr, momentum=self.momentum, steps=self.steps, weight_decay=self.weight_decay)
        return Together([muon, self.others.build(rest)]) if rest else muon
