"""`training.data_order`: the same initialisation, other training sequences."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from trainings import Data, cell_of, train

from harness.model.build import build_model


def test_another_order_draws_other_sequences_for_the_same_initial_weights(tmp_path: Path) -> None:
    first: dict[int, Tensor] = {}
    cells = {order: cell_of({"training.data_order": order, "training.steps": 1}) for order in (0, 1, 2)}
    for order, (cell, source) in cells.items():

        def keep(step: int, horizon: int, batch: Tensor, order: int = order) -> None:
            first.setdefault(order, batch.clone())

        train(cell, Data(source, keep), tmp_path)  # type: ignore[arg-type]  # it stands in for a source
    source = cells[0][1]
    assert torch.equal(first[0], source.train_batch(0, 0, 4, 3, "cpu"))  # order 0 is the seed's own, as ever
    assert not any(torch.equal(first[a], first[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    weights = [build_model(cell.experiment.architecture, source.shape, 0).state_dict() for cell, _ in cells.values()]
    assert all(torch.equal(one, other) for one, other in zip(weights[0].values(), weights[1].values(), strict=True))
    assert len({cell.training_key for cell, _ in cells.values()}) == 3
    assert cell_of({"training.data_order": 0})[0].training_key == cell_of()[0].training_key
