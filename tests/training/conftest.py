"""What the tests of training share."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trainings import Taken, cell_of

from harness.data.source import Source


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def source() -> Source:
    return cell_of()[1]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Taken]:
    found: list[Taken] = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, closure: Any = None) -> Any:
        group = self.param_groups[0]
        weights = group["params"]
        norm = torch.stack([weight.grad.norm() for weight in weights]).norm().item()
        before = [weight.detach().clone() for weight in weights]
        result = step(self, closure)
        found.append(Taken(group["lr"], group["betas"][0], norm, before, [weight.detach().clone() for weight in weights]))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    return found
