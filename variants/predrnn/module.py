"""The network; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

from harness.model.cells import ST_NAMES, translate_names
from harness.model.st_stack import STLSTMStack


class PredRNN(STLSTMStack):
    """ST-LSTM layers and nothing else."""


def translate(name: str) -> str | None:
    """OpenSTL's name of a weight -> ours."""
    return translate_names(name, ST_NAMES)
