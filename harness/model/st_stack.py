"""ST-LSTM layers with a memory that all of them share: PredRNN, and what is built on it."""

from __future__ import annotations

from torch import Tensor

from harness.model.cells import STLSTM, FedBack

State = tuple[list[tuple[Tensor, Tensor]], Tensor]
"""Hidden and cell state of each layer, and the memory that all share; each (B, C, H, W)."""


class STLSTMStack(FedBack):
    """ST-LSTM layers at one resolution, which predict the next frame and read it.

    The memory goes up through the layers within a step, and from the last layer to the first one of the next step.
    """

    layer = STLSTM

    def start(self, zeros_BCHW: Tensor) -> State:
        """All states are zero."""
        return [(zeros_BCHW, zeros_BCHW)] * len(self.cells), zeros_BCHW

    def step(self, patches_BPHW: Tensor, state: State) -> tuple[Tensor, State, Tensor | None]:
        """One frame through all layers; in training mode with the step's own term of the loss."""
        before, memory = state
        after, changes = [], []
        features = patches_BPHW
        for layer, (hidden, cell) in zip(self.cells, before, strict=True):
            features, cell, memory, cell_change, memory_change = layer(features, hidden, cell, memory)
            after.append((features, cell))
            changes.append((cell_change, memory_change))
        return features, (after, memory), self.term(changes) if self.training else None

    def term(self, changes: list[tuple[Tensor, Tensor]]) -> Tensor | None:
        """A step's own term of the loss, of what each layer wrote to its cell state and to the memory; None here."""
        return None
