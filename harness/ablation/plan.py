"""Ablation plans: which compositions to run with which seeds, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from harness.errors import RequestError
from harness.executors.jobs import Jobs

if TYPE_CHECKING:
    from harness.runs.request import Request

PLANS = {
    "add-one": "base, every variant alone, and all together",
    "leave-one-out": "base, all together, and all but each one",
    "factorial": "every subset of the variants",
    "a-a": "base against a copy of base with other seeds, which must show no difference",
}
REFERENCE = "base"
COPY = "base-copy"
MAX_FACTORS = 8
MATCHES = ("steps", "seconds", "flops")


@dataclass(frozen=True)
class Planned:
    """One cell of a plan: the label of its row, the composition to run, and the seed."""

    label: str
    variant: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Ablation(Jobs):
    """A plan with everything that its cells need. Raises RequestError for a value out of range.

    Args:
        plan: a name of `PLANS`, or compositions separated by commas.
        match: what every variant gets as much of as base: optimiser steps, seconds of training, or operations of training.
        retries: how often to try a failed cell again.
        max_hours: after this time the cells under way save their state and stop; None for no limit.
    """

    plan: str
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    request: Request
    match: str = "steps"
    retries: int = 1
    max_hours: float | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if self.match not in MATCHES:
            raise RequestError(f"--match {self.match!r}; choose {', '.join(MATCHES)}")
        if self.workers < 0 or self.threads < 0 or self.retries < 0 or (self.max_hours is not None and self.max_hours <= 0):
            raise RequestError("--workers and --retries are at least 0, --max-hours above 0")

    @property
    def cells(self) -> list[Planned]:
        """The plan's cells in running order."""
        return expand(self.plan, self.variants, self.seeds)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from '5' (0 to 4) or '0,3,7' ('3,' is seed 3 alone). Raises RequestError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts if part) or not any(parts):
        raise RequestError(f"--seeds {text!r}; give a number of seeds (5) or a list of them (0,3,7)")
    numbers = [int(part) for part in parts if part]
    if "," not in text:
        if not 1 <= numbers[0] <= 10_000:
            raise RequestError(f"--seeds {text}; give 1 to 10000 seeds")
        return tuple(range(numbers[0]))
    if len(set(numbers)) != len(numbers):
        raise RequestError(f"--seeds {text}; name each seed once")
    return tuple(numbers)


def expand(plan: str, variants: Sequence[str], seeds: Sequence[int]) -> list[Planned]:
    """The cells of a plan, interleaved by seed: a plan stopped early is balanced, and a machine's drift affects all rows alike.

    Args:
        plan: a name of `PLANS`, or compositions separated by commas ('base,attention,residual+attention').
        variants: the factors, without base.
        seeds: in running order.
    """
    if plan == "a-a":
        copies = [max(seeds) + 1 + index for index in range(len(seeds))]
        pairs = zip(seeds, copies, strict=True)
        return [
            cell for seed, copy in pairs for cell in (Planned(REFERENCE, REFERENCE, seed), Planned(COPY, REFERENCE, copy))
        ]
    return [Planned(name, name, seed) for seed in seeds for name in rows(plan, variants)]


def rows(plan: str, variants: Sequence[str]) -> list[str]:
    """The compositions of a plan, the reference first."""
    factors = sorted(set(variants) - {REFERENCE})
    if plan not in PLANS:
        if plan.replace("-", "").isalpha() and "," not in plan and "+" not in plan and plan not in {*factors, REFERENCE}:
            raise RequestError(
                f"unknown plan {plan!r}; choose {', '.join(PLANS)}, or name compositions: base,attention,residual+attention"
            )
        names = ["+".join(sorted(part.strip().split("+"))) for part in plan.split(",") if part.strip()]
        return [REFERENCE, *dict.fromkeys(name for name in names if name != REFERENCE)]
    if not factors:
        raise RequestError(f"plan {plan!r} needs at least one variant besides base; name some with --variants")
    if plan == "factorial":
        if len(factors) > MAX_FACTORS:
            raise RequestError(
                f"a factorial plan of {len(factors)} variants has {2 ** len(factors)} rows; choose at most {MAX_FACTORS} "
                "with --variants"
            )
        sets = [part for size in range(1, len(factors) + 1) for part in combinations(factors, size)]
    elif plan == "add-one":
        sets = [(factor,) for factor in factors] + ([tuple(factors)] if len(factors) > 1 else [])
    else:
        less = [tuple(other for other in factors if other != factor) for factor in factors]
        sets = [tuple(factors), *(part for part in less if part)]
    return [REFERENCE, *dict.fromkeys("+".join(part) for part in sets)]
