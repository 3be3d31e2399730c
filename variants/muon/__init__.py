"""Orthogonalised updates for the weight matrices, AdamW for all other parameters."""

from __future__ import annotations

from harness.variant import Variant

VARIANT = Variant(
    name="muon",
    summary="Muon in place of AdamW for convolutions and other weight matrices",
    source="Jordan et al. 2024, Muon",
    changes={"training.optimizer": "muon"},
    citation="K. Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024",
    by_default=False,
)
