"""The suites of `loss` and of the slots of `training`."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from harness.model.build import build_model
from harness.testing.components import ComponentContract, noise


class LossContract(ComponentContract):
    """What holds for every term of the loss, `compute(prediction, target) -> scalar`, both (B, T, C, H, W)."""

    slot: ClassVar[str] = "loss"

    def test_is_a_finite_number_with_a_gradient(self) -> None:
        """float32, and a function of its arguments; frames that are equal are no worse than others."""
        prediction, target = noise(2, 3, 1, 16, 16).sigmoid().requires_grad_(), noise(2, 3, 1, 16, 16, seed=1).sigmoid()
        found, again = (self._compute(prediction, target) for _ in range(2))
        assert found.shape == ()
        assert found.dtype == torch.float32
        assert found.isfinite()
        assert torch.equal(found, again)
        (gradient,) = torch.autograd.grad(found, prediction)
        assert gradient.isfinite().all()
        assert gradient.any()
        assert self._compute(target, target) <= found

    def test_takes_a_single_frame_and_several_channels(self) -> None:
        """A horizon of one frame, three channels."""
        for shape in ((2, 1, 1, 16, 16), (2, 3, 3, 16, 16)):
            assert self._compute(noise(*shape).sigmoid(), noise(*shape, seed=1).sigmoid()).isfinite()

    def test_its_weight_starts_and_rises_within_the_budget(self) -> None:
        """At the end it has its weight."""
        weights = [self.component.weight_at(step / 10) for step in range(11)]  # type: ignore[attr-defined]
        assert weights == sorted(weights)
        assert weights[-1] == self.component.weight  # type: ignore[attr-defined]

    def _compute(self, prediction: Tensor, target: Tensor) -> Tensor:
        found: Tensor = self.component.compute(prediction, target)  # type: ignore[attr-defined]
        return found


class OptimizerContract(ComponentContract):
    """What holds for every optimizer, `build(named_parameters) -> torch.optim.Optimizer`."""

    slot: ClassVar[str] = "training.optimizer"

    def test_every_group_has_its_peak_rate(self) -> None:
        """In "lr", which the schedule scales."""
        _, optimizer = self._made()
        assert all(group["lr"] > 0 for group in optimizer.param_groups)

    def test_takes_every_parameter_and_lowers_a_loss(self) -> None:
        """Twenty steps on a quadratic bowl."""
        model, optimizer = self._made()
        given = {id(one) for group in optimizer.param_groups for one in group["params"]}
        assert given == {id(one) for one in model.parameters()}
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = (model(noise(4, 3, 6, 6)) - noise(4, 4, 6, 6, seed=1)).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0]

    def _made(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 4, 1))
        return model, self.component.build(model.named_parameters())  # type: ignore[attr-defined]


class ScheduleContract(ComponentContract):
    """What holds for every schedule, `values(step, total, lr) -> settings of parameter groups by name`."""

    slot: ClassVar[str] = "training.schedule"

    def test_stays_between_zero_and_the_peak_and_scales_with_it(self) -> None:
        """At every step, for short and long trainings, and between two steps."""
        for total in (1.0, 2.0, 10.0, 1000.0):
            for share in (0.0, 0.123, 0.5, 1.0):
                one, two = self._values(share * (total - 1), total, 1.0), self._values(share * (total - 1), total, 2.0)
                assert all(math.isfinite(value) for value in one.values())
                assert 0 <= one["lr"] <= 1 + 1e-9
                assert math.isclose(two["lr"], 2 * one["lr"], rel_tol=1e-9, abs_tol=1e-12)

    def _values(self, step: float, total: float, lr: float) -> dict[str, float]:
        return dict(self.component.values(step, total, lr))  # type: ignore[attr-defined]


class AverageContract(ComponentContract):
    """What holds for every average of the weights: `update`, `applied`, `state_dict`, `load_state_dict`."""

    slot: ClassVar[str] = "training.average"

    def test_starts_at_the_weights_and_stays_between_old_and_new(self) -> None:
        """Within `applied` the model has the average's weights, afterwards its own."""
        model = nn.Linear(3, 3)
        average: Any = self.component.build(model)  # type: ignore[attr-defined]
        old = model.weight.detach().clone()
        with average.applied():
            assert torch.equal(model.weight, old)
        with torch.no_grad():
            model.weight.add_(1)
        average.update()
        own = model.weight.detach().clone()
        with average.applied():
            assert (model.weight >= old).all()
            assert (model.weight <= own).all()
        assert torch.equal(model.weight, own)


class CurriculumContract(ComponentContract):
    """What holds for every curriculum, `horizon(progress, full) -> frames to predict`."""

    slot: ClassVar[str] = "training.curriculum"

    def test_grows_to_the_full_horizon(self) -> None:
        """It stays in 1..full, never shrinks, and ends at the full horizon."""
        for full in (1, 2, 3, 10, 50):
            horizons = [self.component.horizon(step / 200, full) for step in range(201)]  # type: ignore[attr-defined]
            assert all(isinstance(one, int) and 1 <= one <= full for one in horizons), f"a horizon is not in 1..{full}"
            assert horizons == sorted(horizons), f"the horizon shrinks on the way to {full}"
            assert horizons[-1] == full, f"training ends at a horizon of {horizons[-1]}, not {full}"


class FeedingContract(ComponentContract):
    """What holds for every feeding, `draw(sequences, shown, horizon, progress, generator) -> (B, shown + horizon - 1) bool`."""

    slot: ClassVar[str] = "training.feeding"

    def test_draws_from_its_generator_and_shows_the_first_frame(self) -> None:
        """For any lengths and progress."""
        for shown, horizon in ((1, 1), (3, 2), (10, 10)):
            for progress in (0.0, 0.4, 1.0):
                first, again = (
                    self.component.draw(5, shown, horizon, progress, torch.Generator().manual_seed(2))  # type: ignore[attr-defined]
                    for _ in range(2)
                )
                assert first.dtype == torch.bool
                assert tuple(first.shape) == (5, shown + horizon - 1)
                assert torch.equal(first, again)
                assert first[:, 0].all(), "the first frame is always true"


class StartContract(ComponentContract):
    """What holds for every source of initial weights, `load(model, architecture) -> a line about what matched`."""

    slot: ClassVar[str] = "training.start"

    def test_puts_weights_into_the_network_and_says_so(self) -> None:
        """In one line; twice the same weights."""
        found = []
        for seed in (0, 1):
            model = build_model(self.experiment.architecture, self._source.shape, seed)
            before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            said = self.component.load(model, self.experiment.architecture)  # type: ignore[attr-defined]
            assert said
            assert "\n" not in said
            found.append({name: one for name, one in model.state_dict().items() if not torch.equal(one, before[name])})
            assert found[-1], "no weight changed"
        shared = found[0].keys() & found[1].keys()
        assert shared
        assert all(torch.equal(found[0][name], found[1][name]) for name in shared)
