"""Ablation plans: which compositions to run with which seeds, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from harness.errors import RequestError

PLANS = {
    "add-one": "base, every variant alone, and all together",
    "leave-one-out": "base, all together, and all but each one",
    "factorial": "every subset of the variants",
    "a-a": "base against a renamed copy of base with other seeds: what comes out must be no difference",
}
REFERENCE = "base"
COPY = "base-copy"
MAX_FACTORS = 8


@dataclass(frozen=True)
class Planned:
    """One cell of a plan: the row that it belongs to, the composition that is run, and the seed."""

    label: str
    variant: str
    seed: int


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
    """The cells of a plan, interleaved by seed: a plan stopped early is balanced, and drift of the machine hits all alike.

    Args:
        plan: a name of `PLANS`, or compositions separated by commas ('base,attention,residual+attention').
        variants: the factors, without base.
        seeds: in the order in which they are run.
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
