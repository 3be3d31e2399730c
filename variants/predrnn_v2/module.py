"""The network; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model.cells import ST_NAMES, STLSTM, FedBack, translate_names

State = tuple[list[tuple[Tensor, Tensor]], Tensor]
"""Hidden and cell state of each layer, and the memory that all share; each (B, C, H, W)."""


class PredRNNV2(FedBack):
    """ST-LSTM layers as in PredRNN, trained to write different things to their two memories.

    In training mode `auxiliary_loss` has the decoupling loss: at every step and layer, what is written to the cell state and what
    is written to the memory go through one 1x1 convolution; the loss is `decoupling` times the mean magnitude of the cosine,
    over the positions of a channel, between the two.

    Args:
        channels: channels of a frame.
        layers: number of layers.
        hidden: channels of every layer.
        kernel: odd kernel size of all convolutions but the 1x1 ones.
        patch: side of the pixel blocks folded into channels.
        warm_up_weight: weight of the predictions of frames that were shown (see `FedBack`).
        decoupling: weight of the decoupling loss.
    """

    def __init__(
        self,
        channels: int,
        *,
        layers: int,
        hidden: int,
        kernel: int,
        patch: int,
        warm_up_weight: float,
        decoupling: float,
    ) -> None:
        super().__init__(channels=channels, patch=patch, hidden=hidden, warm_up_weight=warm_up_weight)
        self.decoupling = decoupling
        self.cells = nn.ModuleList(STLSTM(hidden if layer else self.folded, hidden, kernel) for layer in range(layers))
        self.adapter = nn.Conv2d(hidden, hidden, 1, bias=False)

    def start(self, zeros_BCHW: Tensor) -> State:
        """All states are zero."""
        return [(zeros_BCHW, zeros_BCHW)] * len(self.cells), zeros_BCHW

    def step(self, patches_BPHW: Tensor, state: State) -> tuple[Tensor, State, Tensor | None]:
        """One frame through all layers; in training mode with the decoupling loss of the step."""
        before, memory = state
        after, changes = [], []
        features = patches_BPHW
        for layer, (hidden, cell) in zip(self.cells, before, strict=True):
            features, cell, memory, cell_change, memory_change = layer(features, hidden, cell, memory)
            after.append((features, cell))
            changes.append((cell_change, memory_change))
        return features, (after, memory), self._decoupling_loss(changes) if self.training else None

    def _decoupling_loss(self, changes: list[tuple[Tensor, Tensor]]) -> Tensor:
        cells, memories = (self.adapter(torch.cat(each)).flatten(2) for each in zip(*changes, strict=True))
        # Normalised first: where a step writes next to nothing, the cosine's own guard against a division by zero would bite.
        cosine = F.cosine_similarity(F.normalize(cells, dim=2), F.normalize(memories, dim=2), dim=2)
        return self.decoupling * cosine.abs().mean()


def translate(name: str) -> str | None:
    """OpenSTL's name of a weight -> ours."""
    return name if name.startswith("adapter.") else translate_names(name, ST_NAMES)
