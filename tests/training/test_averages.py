"""The exponential moving average of the weights: its formula, and where a training uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from trainings import CPU, Data, PowerCut, assert_same_training, cell_of, cut_at, poison, train

from harness.data.source import Source
from harness.evaluation.evaluate import evaluate
from harness.evaluation.micro_batches import MicroBatcher
from harness.training.averages import ExponentialAverage
from harness.training.checkpoint import load_model


def test_it_is_the_formula() -> None:
    model = nn.Linear(3, 2).double()
    average = ExponentialAverage(decay=0.5).build(model)
    expected = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for update in range(1, 13):
        with torch.no_grad():
            for index, parameter in enumerate(model.parameters()):
                generator = torch.Generator().manual_seed(10 * update + index)
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        average.update()
        decay = min(0.5, (1 + update) / (10 + update))
        for name, parameter in model.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * parameter.detach()
            torch.testing.assert_close(average.weights[name], expected[name])
    assert average.updates == 12


def test_the_model_has_the_averages_weights_only_within() -> None:
    model = nn.Linear(2, 2)
    average = ExponentialAverage().build(model)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    own = model.weight.detach().clone()

    def fail() -> None:
        with average.applied():
            assert torch.equal(model.weight, before)
            raise PowerCut

    with pytest.raises(PowerCut):
        fail()
    assert torch.equal(model.weight, own)


def test_another_networks_average_is_refused() -> None:
    average = ExponentialAverage().build(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="other weights"):
        average.load_state_dict(ExponentialAverage().build(nn.Linear(2, 2, bias=False)).state_dict())


def test_it_is_validated_and_kept_as_the_best_while_the_last_has_both(source: Source, tmp_path: Path) -> None:
    settings = {"training.average": "ema(decay=0.9)", "training.validate_every": 6}
    cell, _ = cell_of(settings, source=source)
    summary, folder = train(cell, source, tmp_path / "averaged")
    last, best = load_file(folder.path / "last.safetensors"), load_file(folder.path / summary["checkpoint"])
    assert summary["best_step"] == summary["steps"] == 6
    for name, weight in best.items():
        assert torch.equal(last[f"average.{name}"], weight)
        assert not torch.equal(last[f"model.{name}"], weight), name
    with safe_open(folder.path / "last.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["values"])["average.updates"] == 6
    scores = evaluate(
        {"model": load_model(cell.experiment, source.shape, folder.path / summary["checkpoint"], CPU)},
        source.validation(4, CPU),
        shown=3,
        horizon=3,
        micro_batches=MicroBatcher(4),
    )
    assert scores["model"].overall()["ssim"] == summary["validation_ssim"]

    plain, _ = cell_of({"training.validate_every": 6}, source=source)
    _, without = train(plain, source, tmp_path / "plain")
    others = load_file(without.path / "last.safetensors")
    assert all(torch.equal(last[name], weight) for name, weight in others.items())  # the training itself is the same


def test_a_skipped_step_is_not_averaged(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.average": "ema"}, source=source)
    _, folder = train(cell, Data(source, poison(1, 4)), tmp_path)
    with safe_open(folder.path / "last.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["values"])["average.updates"] == 4


@pytest.mark.parametrize("save_every", [60, 0], ids=["at-validations", "every-step"])
def test_a_training_that_is_cut_off_resumes_bit_for_bit(save_every: float, source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.average": "ema", "training.steps": 9}, "residual", source)
    expected, undisturbed = train(cell, source, tmp_path / "undisturbed")
    with pytest.raises(PowerCut):
        train(cell, cut_at(5, source), tmp_path / "cut", save_every=save_every)
    found, resumed = train(cell, source, tmp_path / "cut")
    assert_same_training(resumed, undisturbed)
    assert found["checkpoint_sha256"] == expected["checkpoint_sha256"]
