"""OneCycle as a pure function equals torch's scheduler."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RequestError
from harness.training.schedules import NOMINAL_TOTAL, Constant, Cosine, Linear, WarmedUp, one_cycle


def torch_one_cycle(total: int, **options: float) -> list[tuple[float, float]]:
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, total_steps=total, **options)
    found = []
    for _ in range(total):
        group = optimiser.param_groups[0]
        found.append((group["lr"], group["betas"][0]))
        optimiser.step()
        schedule.step()
    return found


@pytest.mark.parametrize("total", [1, 3, 4, 7, 10, 50, 333])
@pytest.mark.parametrize("pct_start", [0.05, 0.1001, 0.3, 0.5, 0.9])
def test_equals_torch_at_every_step(total: int, pct_start: float) -> None:
    expected = torch_one_cycle(total, max_lr=3e-3, pct_start=pct_start)
    found = [one_cycle(step, total, max_lr=3e-3, pct_start=pct_start) for step in range(total)]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-18)


def test_factors_are_those_of_torch() -> None:
    options = {"max_lr": 0.1, "div_factor": 10.0, "final_div_factor": 100.0}
    expected = torch_one_cycle(40, **options)
    for step, theirs in enumerate(expected):
        assert one_cycle(step, 40, **options) == pytest.approx(theirs, rel=1e-12)


def test_the_shape_that_the_article_asks_for() -> None:
    lrs, betas = zip(*(one_cycle(step, 1000, max_lr=3e-3) for step in range(1000)), strict=True)
    assert lrs[0] == pytest.approx(3e-3 / 25)
    assert lrs[299] == pytest.approx(3e-3)
    assert lrs.index(max(lrs)) == 299
    assert lrs[-1] == pytest.approx(3e-3 / 25 / 1e4)
    assert (betas[0], betas[299], betas[-1]) == pytest.approx((0.95, 0.85, 0.95))


@given(st.floats(-10, 2000), st.floats(1, 1000), st.floats(0.01, 0.99))
def test_always_between_its_ends(step: float, total: float, pct_start: float) -> None:
    lr, beta1 = one_cycle(step, total, max_lr=1.0, pct_start=pct_start)
    assert 1 / 25 / 1e4 * (1 - 1e-9) <= lr <= 1 + 1e-12
    assert 0.85 - 1e-12 <= beta1 <= 0.95 + 1e-12


def test_steps_outside_the_training_are_clamped() -> None:
    assert one_cycle(-1, 10, max_lr=1) == one_cycle(0, 10, max_lr=1)
    assert one_cycle(1e9, 10, max_lr=1) == one_cycle(9, 10, max_lr=1)


def test_a_share_of_a_time_budget_runs_the_whole_cycle() -> None:
    def at(share: float) -> tuple[float, float]:
        return one_cycle(share * (NOMINAL_TOTAL - 1), NOMINAL_TOTAL, max_lr=1.0)

    assert at(0) == pytest.approx((1 / 25, 0.95))
    assert at(0.3)[0] == pytest.approx(1, abs=1e-4)
    assert at(1) == pytest.approx((1 / 25 / 1e4, 0.95))


def test_a_peak_at_the_first_step_begins_with_the_peak() -> None:
    assert one_cycle(0, 10, max_lr=1.0, pct_start=0.1) == pytest.approx((1.0, 0.85))


@pytest.mark.parametrize(
    ("total", "pct_start", "words"),
    [(0, 0.3, "at least 1"), (10, 0, "above 0"), (10, 1, "below 1"), (float("nan"), 0.3, "at")],
)
def test_senseless_schedules_are_refused(total: float, pct_start: float, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        one_cycle(0, total, max_lr=1, pct_start=pct_start)


def test_does_not_import_torch() -> None:
    code = "import sys, harness.training.schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- schedules that warm up


def rates(schedule: WarmedUp, total: int, lr: float = 2.0) -> list[float]:
    found = [schedule.values(step, total, lr) for step in range(total)]
    assert all(set(one) == {"lr"} for one in found)  # what the optimizer does with its momentum stays
    return [one["lr"] for one in found]


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("total", [2, 5, 41])
def test_cosine_is_that_of_torch(total: int, final: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - 1, eta_min=2.0 * final)
    for rate in rates(Cosine(warmup=0.0, final=final), total):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("final", [0.0, 0.25])
def test_linear_is_that_of_torch(final: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=final, total_iters=20)
    for rate in rates(Linear(warmup=0.0, final=final), 21):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("kind", [Cosine, Linear, Constant])
def test_the_rate_rises_in_equal_steps_to_its_peak_and_never_above(kind: type[WarmedUp]) -> None:
    found = rates(kind(warmup=0.25), 101)
    rise = found[:26]
    assert rise[0] == pytest.approx(2.0 / 26)
    assert rise[-1] == pytest.approx(2.0)
    assert [b - a for a, b in pairwise(rise)] == pytest.approx([2.0 / 26] * 25)
    assert max(found) <= 2.0 + 1e-12
    falls = [b - a for a, b in pairwise(found[25:])]
    assert all(one <= 1e-12 for one in falls)
    assert (kind is Constant) == (falls == [0.0] * 75)


def test_after_the_warm_up_each_follows_its_curve() -> None:
    halfway = 60  # of 20..100
    assert rates(Cosine(warmup=0.2, final=0.5), 101)[halfway] == pytest.approx(
        2 * (0.5 + 0.5 * (1 + math.cos(math.pi / 2)) / 2)
    )
    assert rates(Linear(warmup=0.2, final=0.5), 101)[halfway] == pytest.approx(2 * 0.75)
    assert rates(Constant(warmup=0.2), 101)[halfway] == 2.0
    for kind in (Cosine, Linear):
        assert rates(kind(warmup=0.2, final=0.5), 101)[-1] == pytest.approx(1.0)
        assert rates(kind(warmup=0.2), 101)[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kind", [Cosine, Linear, Constant])
@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_trainings_have_rates_too(kind: type[WarmedUp], total: int) -> None:
    for warmup in (0.0, 0.05, 0.5, 0.99):
        found = rates(kind(warmup=warmup), total)
        assert all(0 <= rate <= 2.0 for rate in found)
        assert all(math.isfinite(rate) for rate in found)


@given(st.floats(0, 1), st.floats(0, 0.99), st.floats(0, 1))
def test_a_share_of_a_time_budget_is_between_zero_and_the_peak(share: float, warmup: float, final: float) -> None:
    for schedule in (Cosine(warmup=warmup, final=final), Linear(warmup=warmup, final=final), Constant(warmup=warmup)):
        rate = schedule.values(share * (NOMINAL_TOTAL - 1), NOMINAL_TOTAL, 1.0)["lr"]
        assert -1e-12 <= rate <= 1 + 1e-12
