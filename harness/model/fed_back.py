"""The settings of networks that are a stack of recurrent layers on patches (see `harness.model.cells.FedBack`); no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from harness.component import Component, Shape, setting

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FedBackConfig(Component):
    """Recurrent layers at one resolution, which predict the next frame and read it.

    (B, T, C, H, W) -> (B, horizon, C, H, W). The defaults are OpenSTL's Moving MNIST configuration. A subclass names the network's
    class; the module that has it also has `translate(name)`, from OpenSTL's name of a weight to ours.
    """

    slot: ClassVar[str] = "architecture"
    network: ClassVar[str]
    """The network's class, as module:class; called with the channels of a frame and all settings."""

    layers: int = setting(4, "recurrent layers", at_least=1, at_most=64)
    hidden: int = setting(128, "channels of every layer", at_least=1, at_most=4096)
    kernel: int = setting(5, "kernel size of the layers' convolutions, odd", at_least=1, at_most=31)
    patch: int = setting(4, "side of the pixel blocks folded into channels", at_least=1, at_most=64)
    warm_up_weight: float = setting(
        1.0, "weight of the errors of predictions of frames that were shown, in training", at_least=0, at_most=1e6
    )

    def build(self, shape: Shape, seed: int = 0) -> nn.Module:
        """The network. Raises RequestError for an even kernel, or frames that `patch` does not divide."""
        from harness.model.cells import check_build

        check_build(self.name, kernel=self.kernel, patch=self.patch, height=shape.height, width=shape.width)
        made: nn.Module = self._load(self.network.partition(":")[2])(shape.channels, **self.settings)
        return made

    def openstl_name(self, name: str) -> str | None:
        """The name here of a weight of OpenSTL's network; None for one that is left out."""
        found: str | None = self._load("translate")(name)
        return found

    def _load(self, name: str) -> Any:
        return getattr(import_module(self.network.partition(":")[0]), name)
