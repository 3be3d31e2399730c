"""Ablation plans: which compositions to run with which seeds, in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TYPE_CHECKING

from harness.errors import RequestError
from harness.evaluation.conventions import HEADLINE
from harness.executors.jobs import Jobs
from harness.notation import argument_text, split_outside
from harness.variant import Composition, CompositionError, Variants

if TYPE_CHECKING:
    from harness.ablation.auto import SeedRule
    from harness.runs.request import Request

PLANS = {
    "add-one": "base, every variant alone, and all together",
    "leave-one-out": "base, all together, and all but each one",
    "factorial": "every subset of the variants",
    "networks": "base, and every variant that replaces the network or its cell",
    "a-a": "base against a copy of base with other seeds, which must show no difference",
}
REFERENCE = "base"
COPY = "base-copy"
MAX_FACTORS = 8
TESTS = {"t": "paired t over seeds", "signed-rank": "exact Wilcoxon signed-rank over seeds"}
"""By what a plan's comparisons are tested: the option, and what the plan's record says."""
MATCHES = ("steps", "seconds", "flops", "parameters")
PARAMETERS_WITHIN = 0.1
"""With `--equal parameters`, the largest share by which an arm's parameters may differ from base's."""


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
        match: what every variant gets as much of as base: optimizer steps, seconds of training, or operations of training; with
            'parameters' it gets the same steps, and must have about as many parameters.
        tune: trials of its learning rate that every arm gets first; 0 for none.
        retries: how often to try a failed cell again.
        max_hours: after this time the cells under way save their state and stop; None for no limit.
        metric: the one that is judged; the others are secondary.
        margin: the smallest difference of interest, in the metric's unit; None for the default of the preset.
        test: a name of `TESTS`: t, or signed-rank where seeds may collapse or the noise has heavy tails.
        rule: which of the seeds each arm needs, with `--seeds auto`; None: all of them.
        controls: also run arms whose verdict is known (see `harness.ablation.controls`).
    """

    plan: str
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    request: Request
    match: str = "steps"
    tune: int = 0
    retries: int = 1
    max_hours: float | None = None
    command: str = ""
    rule: SeedRule | None = None
    controls: bool = False
    metric: str = HEADLINE
    margin: float | None = None
    test: str = "t"

    def __post_init__(self) -> None:
        if self.test not in TESTS:
            raise RequestError(f"--test {self.test}; choose {', '.join(TESTS)}")
        if self.rule is not None and self.test != "t":
            raise RequestError(
                f"--seeds auto has boundaries for the t test alone: give a number of seeds with --test {self.test}"
            )
        if self.controls and self.plan == "a-a":
            raise RequestError("plan a-a is a control itself; leave --controls out")
        if self.rule is not None and self.plan == "a-a":
            raise RequestError("plan a-a measures noise with a number of seeds chosen before: give --seeds 5, not auto")
        if self.rule is not None and len(self.seeds) != self.rule.most:
            raise RequestError(f"{len(self.seeds)} seeds for a rule of {self.rule.most}; give as many as it may use")
        if self.margin is not None and not (math.isfinite(self.margin) and self.margin > 0):
            raise RequestError(f"--margin {self.margin}; give a positive number in units of {self.metric}")
        if self.match not in MATCHES:
            raise RequestError(f"--equal {self.match!r}; choose {', '.join(MATCHES)}")
        if self.tune < 0 or (self.tune and self.plan == "a-a"):
            raise RequestError("--tune takes 1 trial or more, and not with the plan a-a, whose arms are one")
        if self.cells_per_process < 1:
            raise RequestError(f"--cells-per-process {self.cells_per_process}; give at least 1")
        if self.cells_per_process > 1 and self.match == "seconds":
            raise RequestError(
                "--equal seconds measures base's time, so its cells train alone: leave --cells-per-process out"
            )
        if self.cells_per_process > 1 and self.options.hooks:
            raise RequestError("trackers and hooks follow one run of a process: leave --track or --cells-per-process out")
        if self.workers < 0 or self.threads < 0 or self.retries < 0 or (self.max_hours is not None and self.max_hours <= 0):
            raise RequestError("--workers and --retries are at least 0, --max-hours above 0")


Compose = Callable[[str], Composition]


@dataclass(frozen=True)
class Arms:
    """The rows of a plan.

    Args:
        names: compositions, the reference first.
        left_out: rows and variants that cannot be run, each with the reason.
    """

    names: list[str]
    left_out: dict[str, str] = field(default_factory=dict)


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


def expand(plan: str, names: Sequence[str], seeds: Sequence[int]) -> list[Planned]:
    """The cells of a plan, interleaved by seed: a plan stopped early is balanced, and a machine's drift affects all rows alike.

    Args:
        plan: a name of `PLANS`, or compositions separated by commas ('base,attention,residual+attention').
        names: the plan's rows, see `arms`.
        seeds: in running order.
    """
    if plan == "a-a":
        copies = [max(seeds) + 1 + index for index in range(len(seeds))]
        pairs = zip(seeds, copies, strict=True)
        return [
            cell for seed, copy in pairs for cell in (Planned(REFERENCE, REFERENCE, seed), Planned(COPY, REFERENCE, copy))
        ]
    return [Planned(name, name, seed) for seed in seeds for name in names]


def arms(plan: str, variants: Sequence[str], compose: Compose) -> Arms:
    """The rows of a plan that can be run, and those that cannot: two variants that change one setting exclude each other.

    A variant that replaces the whole network leaves no slot for the others. So an arm that combines everything is made of the
    variants that do compose: networks are left out of it where they conflict. If the others conflict as well, such as two doses
    of one variant, there is no such arm.

    Raises RequestError for an unknown plan or variant, and CompositionError for a conflict in a composition that the plan names.
    """
    if plan == "a-a":
        return Arms([REFERENCE])
    if plan not in PLANS:
        return Arms(list(dict.fromkeys(compose(name).name for name in rows(plan, variants))))
    factors = list(dict.fromkeys(compose(name).name for name in variants))
    if plan == "networks":
        networks = [name for name in factors if compose(name).is_network]
        others = [name for name in factors if name not in networks and name != REFERENCE]
        return Arms(rows(plan, networks), dict.fromkeys(others, "does not replace the network or its cell"))
    if plan == "factorial":
        found = Arms([])
        for name in rows(plan, factors):
            if reason := _conflict([name], compose):
                found.left_out[name] = reason
            else:
                found.names.append(name)
        return found
    together, left_out = _composable(sorted(set(factors) - {REFERENCE}), compose)
    return Arms(rows(plan, factors, together), left_out)


def _composable(factors: list[str], compose: Compose) -> tuple[list[str], dict[str, str]]:
    """The factors that can stand in one arm together, and the reasons for those that cannot; none when they conflict."""
    if not (reason := _conflict(factors, compose)):
        return factors, {}
    whole = [name for name in factors if "architecture" in compose(name).changes]
    rest = [name for name in factors if name not in whole]
    found = {f"{name} with others": "it replaces the network that they change" for name in whole}
    if len(rest) > 1 and (reason := _conflict(rest, compose)):
        return [], found | {"+".join(rest): reason}
    return rest, found


def _conflict(names: Sequence[str], compose: Compose) -> str:
    try:
        compose("+".join(names) or REFERENCE)
    except CompositionError as error:
        return str(error).partition(";")[0]
    return ""


def rows(plan: str, variants: Sequence[str], together: Sequence[str] | None = None) -> list[str]:
    """The compositions of a plan, the reference first.

    Args:
        together: those of the variants that stand in one arm together; all of them if not given.
    """
    factors = sorted(set(variants) - {REFERENCE})
    every = factors if together is None else list(together)
    if plan not in PLANS:
        if plan.replace("-", "").isalpha() and "," not in plan and "+" not in plan and plan not in {*factors, REFERENCE}:
            raise RequestError(
                f"unknown plan {plan!r}; choose {', '.join(PLANS)}, or name compositions: base,attention,residual+attention"
            )
        names = ["+".join(sorted(split_outside(part, "+"))) for part in split_outside(plan, ",") if part]
        return [REFERENCE, *dict.fromkeys(name for name in names if name != REFERENCE)]
    if not factors:
        what = "variant that replaces the network" if plan == "networks" else "variant besides base"
        raise RequestError(f"plan {plan!r} needs at least one {what}; name some with --variants")
    if plan == "factorial":
        if len(factors) > MAX_FACTORS:
            raise RequestError(
                f"a factorial plan of {len(factors)} variants has {2 ** len(factors)} rows; choose at most {MAX_FACTORS} "
                "with --variants"
            )
        sets = [part for size in range(1, len(factors) + 1) for part in combinations(factors, size)]
    elif plan == "networks":
        sets = [(factor,) for factor in factors]
    elif plan == "add-one":
        sets = [(factor,) for factor in factors] + ([tuple(every)] if len(every) > 1 else [])
    else:
        less = [tuple(other for other in every if other != factor) for factor in every]
        sets = [part for part in (tuple(every), *less) if part]
        if not sets:
            raise RequestError(f"plan {plan!r} needs variants that compose; {', '.join(factors)} exclude each other")
    return [REFERENCE, *dict.fromkeys("+".join(part) for part in sets)]


def plan_variants(plan: str, text: str | None, sweeps: Sequence[str], installed: Variants) -> tuple[str, ...]:
    """The variants that a plan is made of: those of `text`, separated by commas, or the plan's default.

    By default a sweep varies base, the plan `networks` takes the installed variants that replace the network or its cell, and
    every other plan those that do not: a network is another model, not an idea that others can be added to. A recipe
    (`Variant.by_default`) is in no plan that does not name it.
    """
    if sweeps and plan != "add-one":
        raise RequestError(f"--sweep makes the arms itself; leave --plan {plan} out")
    if text:
        return tuple(name for name in split_outside(text, ",") if name)
    if sweeps:
        return (REFERENCE,)
    wanted = plan == "networks"
    return tuple(
        one.name for one in installed if one.error is not None or (one.value.by_default and one.value.is_network is wanted)
    )


def swept(variants: Sequence[str], sweeps: Sequence[str]) -> str:
    """A plan of compositions: base, and every variant with every value of the settings that are swept.

    >>> swept(["base"], ["training.optimizer.lr=1e-3,3e-3"])
    'base,base(training.optimizer.lr=1e-3),base(training.optimizer.lr=3e-3)'
    """
    values = []
    for text in sweeps:
        path, _, rest = text.partition("=")
        found = [one for one in split_outside(rest, ",") if one]
        if not path.strip() or not found:
            raise RequestError(f"--sweep {text!r}; write path=value,value, such as training.optimizer.lr=1e-3,3e-3")
        values.append([f"{path.strip()}={one if '(' in one or '[' in one else argument_text(one)}" for one in found])
    named = [
        f"{variant[:-1]}, {', '.join(chosen)})" if variant.endswith(")") else f"{variant}({', '.join(chosen)})"
        for variant in variants
        for chosen in product(*values)
    ]
    return ",".join(dict.fromkeys([REFERENCE, *named]))
