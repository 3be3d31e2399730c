"""Optimizers as components: which parameters each gets, and trainings that are resumed with each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trainings import PowerCut, assert_same_training, cell_of, cut_at, train

from harness.data.source import Source
from harness.errors import RequestError
from harness.model.build import build_model
from harness.training.build import build_optimizer
from harness.training.matrix_optimizers import LionOptimizer, MuonOptimizer, Together
from harness.training.optimizers import SGD, AdamW, Muon


def test_muon_leaves_biases_gains_and_the_head_to_others() -> None:
    shapes = {
        "body.weight": (6, 4),
        "body.bias": (6,),
        "gain": (6, 1, 1),
        "scalar": (),
        "head.weight": (2, 6),
        "mix": (1, 6, 3, 3),
    }
    named = {name: nn.Parameter(torch.zeros(shape)) for name, shape in shapes.items()}
    optimizer = Muon(lr=0.03, others=AdamW(lr=1e-3)).build(named.items())
    assert isinstance(optimizer, Together)
    ours, others = ([id(one) for one in group["params"]] for group in optimizer.param_groups)
    assert ours == [id(named[name]) for name in ("body.weight", "mix")]
    assert others == [id(named[name]) for name in ("body.bias", "gain", "scalar", "head.weight")]
    assert [group["lr"] for group in optimizer.param_groups] == [0.03, 1e-3]
    only = {"bias": named["body.bias"]}
    assert isinstance(Muon().build(only.items()), torch.optim.AdamW)
    assert isinstance(Muon().build({"w": named["mix"]}.items()), MuonOptimizer)


@pytest.mark.parametrize("others", [None, Muon()])
def test_muon_needs_another_optimizer_beside_it(others: Any) -> None:
    with pytest.raises(RequestError, match=r"training\.optimizer\.others needs"):
        Muon(others=others)


def test_sgd_is_that_of_torch() -> None:
    built = SGD(lr=0.2, momentum=0.8, nesterov=True, weight_decay=0.1).build([("weight", nn.Parameter(torch.zeros(2)))])
    (group,) = built.param_groups
    assert {key: group[key] for key in ("lr", "momentum", "nesterov", "weight_decay")} == {
        "lr": 0.2,
        "momentum": 0.8,
        "nesterov": True,
        "weight_decay": 0.1,
    }
    assert not SGD(momentum=0.0).build([("weight", nn.Parameter(torch.zeros(2)))]).param_groups[0]["nesterov"]


def test_every_part_of_together_has_its_own_peak(source: Source) -> None:
    cell, _ = cell_of({"training.optimizer": "muon(lr=0.5, others=lion(lr=0.25))"}, source=source)
    optimizer = build_optimizer(cell.experiment, build_model(cell.experiment.architecture, source.shape, 0))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    assert isinstance(optimizer, Together)
    assert [type(part) for part in optimizer.parts] == [MuonOptimizer, LionOptimizer]


@pytest.mark.parametrize("optimizer", ["sgd", "sgd(momentum=0)", "lion", "muon", "muon(others=sgd)"])
@pytest.mark.parametrize("save_every", [60, 0], ids=["at-validations", "every-step"])
def test_a_training_that_is_cut_off_resumes_bit_for_bit(
    optimizer: str, save_every: float, source: Source, tmp_path: Path
) -> None:
    cell, _ = cell_of({"training.optimizer": optimizer, "training.steps": 9}, source=source)
    expected, undisturbed = train(cell, source, tmp_path / "undisturbed")
    with pytest.raises(PowerCut):
        train(cell, cut_at(5, source), tmp_path / "cut", save_every=save_every)
    found, resumed = train(cell, source, tmp_path / "cut")
    assert_same_training(resumed, undisturbed)
    assert found["checkpoint_sha256"] == expected["checkpoint_sha256"]
