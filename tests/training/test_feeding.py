"""What recurrent networks are fed in training: probabilities, draws, and trainings with them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from trainings import PowerCut, assert_same_training, cell_of, cut_at, train

from harness.data.source import Source
from harness.errors import RequestError
from harness.runs.cell import run_cell
from harness.runs.smoke_test import smoke_test
from harness.store import Store
from harness.training.feeding import Feeding, ReverseScheduledSampling, ScheduledSampling


@pytest.mark.parametrize(("progress", "truth"), [(0.0, 0.8), (0.1, 0.64), (0.25, 0.4), (0.5, 0.0), (1.0, 0.0)])
def test_scheduled_sampling_falls_linearly(progress: float, truth: float) -> None:
    assert ScheduledSampling(first=0.8, until=0.5).probabilities(progress) == pytest.approx((1.0, truth))


def openstl(step: int, first: int = 25_000, second: int = 50_000, alpha: float = 5_000.0) -> tuple[float, float]:
    """Reverse scheduled sampling as it is published, counted in iterations."""
    if step < first:
        return 0.5, 0.5
    if step < second:
        return 1.0 - 0.5 * math.exp(-(step - first) / alpha), 0.5 - (0.5 / (second - first)) * (step - first)
    return 1.0, 0.0


@pytest.mark.parametrize("step", [0, 24_999, 25_000, 31_000, 40_000, 49_999, 50_000, 79_999])
def test_reverse_scheduled_sampling_is_the_published_one_of_80_000_iterations(step: int) -> None:
    assert ReverseScheduledSampling().probabilities(step / 80_000) == pytest.approx(openstl(step))


@pytest.mark.parametrize("feeding", [ScheduledSampling(), ReverseScheduledSampling()], ids=lambda one: one.name)
def test_a_draw_depends_on_the_generator_alone(feeding: Feeding) -> None:
    def draw(seed: int) -> torch.Tensor:
        return feeding.draw(50, 4, 3, 0.35, torch.Generator().manual_seed(seed))

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = draw(7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(draw(7), first)
    assert not torch.equal(draw(8), first)
    assert first.shape == (50, 4 + 3 - 1)
    assert first.dtype == torch.bool
    assert first[:, 0].all()


def test_as_many_are_true_as_the_probabilities_say() -> None:
    drawn = ReverseScheduledSampling().draw(20_000, 3, 4, 0.4, torch.Generator().manual_seed(0)).float().mean(0)
    seen, predicted = ReverseScheduledSampling().probabilities(0.4)
    assert drawn.tolist() == pytest.approx([1.0, seen, seen, predicted, predicted, predicted], abs=0.015)


@pytest.mark.parametrize("name", ["scheduled-sampling", "reverse-scheduled-sampling"])
def test_predrnn_trains_with_it_and_resumes_bit_for_bit(name: str, source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.feeding": name, "training.steps": 9}, "predrnn", source)
    expected, undisturbed = train(cell, source, tmp_path / "undisturbed")
    with pytest.raises(PowerCut):
        train(cell, cut_at(5, source), tmp_path / "cut", save_every=0)
    torch.randn(3)  # whatever else the process drew must not matter
    found, resumed = train(cell, source, tmp_path / "cut")
    assert_same_training(resumed, undisturbed)
    assert found["checkpoint_sha256"] == expected["checkpoint_sha256"]

    plain, _ = cell_of({"training.steps": 9}, "predrnn", source)
    _, without = train(plain, source, tmp_path / "plain")
    weights = [load_file(folder.path / "last.safetensors")["model.head.weight"] for folder in (undisturbed, without)]
    assert not torch.equal(*weights)


@pytest.mark.parametrize("variant", ["base", "simvp"])
def test_a_network_that_reads_no_prediction_of_its_own_is_refused(variant: str, source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.feeding": "scheduled-sampling"}, variant, source)
    name = cell.experiment.architecture.name
    with pytest.raises(RequestError, match=rf"training\.feeding is scheduled-sampling.*architecture {name} .*feed"):
        run_cell(cell, Store(tmp_path), source)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("variant", ["predrnn", "predrnn-pp", "predrnn-v2", "convlstm-stack", "phydnet"])
def test_a_network_that_does_is_accepted(variant: str, source: Source) -> None:
    cell, _ = cell_of({"training.feeding": "reverse-scheduled-sampling"}, variant, source)
    smoke_test(cell.experiment, source)
