"""The network; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model.cells import ST_NAMES, translate_names
from harness.model.st_stack import STLSTMStack


class PredRNNV2(STLSTMStack):
    """ST-LSTM layers as in PredRNN, trained to write different things to their two memories.

    In training mode `auxiliary_loss` has the decoupling loss: at every step and layer, what is written to the cell state and what
    is written to the memory go through one 1x1 convolution; the loss is `decoupling` times the mean magnitude of the cosine,
    over the positions of a channel, between the two.

    Args:
        decoupling: weight of the decoupling loss.
        settings: those of `FedBack`.
    """

    def __init__(self, channels: int, *, decoupling: float, **settings: Any) -> None:
        super().__init__(channels, **settings)
        self.decoupling = decoupling
        self.adapter = nn.Conv2d(self.hidden, self.hidden, 1, bias=False)

    def term(self, changes: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The decoupling loss of a step."""
        cells, memories = (self.adapter(torch.cat(each)).flatten(2) for each in zip(*changes, strict=True))
        # Normalised first: where a step writes next to nothing, the cosine's own guard against a division by zero would bite.
        cosine = F.cosine_similarity(F.normalize(cells, dim=2), F.normalize(memories, dim=2), dim=2)
        return self.decoupling * cosine.abs().mean()


def translate(name: str) -> str | None:
    """OpenSTL's name of a weight -> ours."""
    return name if name.startswith("adapter.") else translate_names(name, ST_NAMES)
