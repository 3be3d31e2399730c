"""ST-LSTM layers share a memory that goes up through the layers and on to the next step."""

from __future__ import annotations

import torch
from networks import frames, noise
from torch import Tensor
from torch.nn import functional as F

from harness.model.st_stack import STLSTMStack


def made(kind: type[STLSTMStack] = STLSTMStack, warm_up_weight: float = 0.0) -> STLSTMStack:
    model = kind(1, layers=2, hidden=3, kernel=3, patch=2, warm_up_weight=warm_up_weight)
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            parameter.copy_(0.3 * noise(*parameter.shape, seed=index))
    return model


def test_a_prediction_is_two_layers_stepped_by_hand() -> None:
    model, shown = made().eval(), frames(batch=2, count=3)
    lower, upper = model.cells
    zeros = torch.zeros(2, 3, 8, 8)
    hidden, cell, memory = [zeros, zeros], [zeros, zeros], zeros
    predicted: list[Tensor] = []
    with torch.no_grad():
        for step in range(4):
            read = F.pixel_unshuffle(shown[:, step] if step < 3 else predicted[-1], 2)
            hidden[0], cell[0], memory, *_ = lower(read, hidden[0], cell[0], memory)
            hidden[1], cell[1], memory, *_ = upper(hidden[0], hidden[1], cell[1], memory)
            predicted.append(F.pixel_shuffle(F.conv2d(hidden[1], model.head.weight), 2))
        torch.testing.assert_close(model(shown, 2), torch.stack(predicted[2:], dim=1))


class Told(STLSTMStack):
    """Its term is a constant; it keeps the shapes of what it was told."""

    shapes: list[list[tuple[int, ...]]]

    def term(self, changes: list[tuple[Tensor, Tensor]]) -> Tensor | None:
        self.shapes.append([tuple(one.shape) for pair in changes for one in pair])
        return torch.tensor(2.0)


def test_a_step_has_a_term_of_the_loss_in_training_alone_of_what_every_layer_wrote() -> None:
    model = made(Told)
    assert isinstance(model, Told)
    model.shapes = []
    model.eval()(frames(), 2)
    assert model.shapes == []
    assert model.auxiliary_loss is None
    model.train()(frames(), 2)
    assert model.shapes == [[(2, 3, 8, 8)] * 4] * 4  # 3 frames shown and 2 predicted take 4 steps
    assert float(model.auxiliary_loss) == 4 * 2.0 / 2  # type: ignore[arg-type]  # torch types a module's attributes loosely


def test_the_plain_stack_has_no_term_of_its_own() -> None:
    model = made().train()
    model(frames(), 2)
    assert float(model.auxiliary_loss) == 0  # type: ignore[arg-type]  # torch types a module's attributes loosely
