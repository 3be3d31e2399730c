"""Optimizers as components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting

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
        """The optimizer of these parameters; fused where they are on a GPU."""
        import torch

        parameters = [parameter for _, parameter in named_parameters]
        fused = any(parameter.is_cuda for parameter in parameters)
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, fused=fused)
