"""Do ideas add up? Main effects and pairwise interactions of factorial plans, as contrasts over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from harness.errors import RequestError
from reports.analysis.comparisons import MARGIN, PENDING, Comparison, check, paired, settle
from reports.analysis.estimates import Values
from reports.analysis.groups import Group, Method
from reports.analysis.ttests import as_float, mean_of


@dataclass(frozen=True)
class Effect:
    """An effect of a factorial plan, main (one factor) or interaction (two), as a `Comparison` over per-seed contrasts.

    Main: the metric with the factor minus without it, averaged over the other factors. Interaction of a and b: what a adds
    in the presence of b minus what it adds without b; positive (for a metric to be raised) is better than the sum of both.
    """

    factors: tuple[str, ...]
    comparison: Comparison


def factorial_effects(
    cells: Mapping[frozenset[str], Values],
    *,
    margin: float = MARGIN,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    test: str = "t",
) -> list[Effect]:
    """Main effects and pairwise interactions of a two-level factorial plan, with seeds as blocks.

    `cells` maps the set of active factors to that cell's value for each seed. Each seed yields one contrast for each effect,
    and the contrasts are tested over seeds as differences are, with Holm's adjustment over all effects. In a balanced plan
    the means equal the coefficients of a regression with a block for each seed and factors coded -1/2 and +1/2; the error
    differs on purpose: each effect has its own over seeds (n - 1 degrees of freedom), with no assumption that all cells
    scatter alike. Seeds that some cell lacks are left out of all effects and named in `unpaired`.

    A full plan works, and a fraction whose main effects and pairs are clear of each other (resolution V); interactions of
    three or more are then taken to be nil. Raises RequestError without factors or where cells are missing (it names them).
    """
    check(margin, alpha)
    factors = sorted(set().union(*cells)) if cells else []
    if not factors:
        raise RequestError("factorial effects need cells with at least one factor; given: none")
    names: list[tuple[str, ...]] = [*((factor,) for factor in factors), *combinations(factors, 2)]
    order = sorted(cells, key=lambda cell: (len(cell), sorted(cell)))
    coded = np.array([[1.0 if factor in cell else -1.0 for factor in factors] for cell in order])
    columns = np.column_stack(
        [np.ones(len(order)), *(np.prod(coded[:, [factors.index(part) for part in name]], axis=1) for name in names)]
    )
    if not np.array_equal(columns.T @ columns, len(order) * np.eye(len(names) + 1)):
        full = [frozenset(c) for size in range(len(factors) + 1) for c in combinations(factors, size)]
        missing = ["+".join(sorted(cell)) or "(none active)" for cell in full if cell not in cells]
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        raise RequestError(
            f"the factorial plan of {', '.join(factors)} lacks cells: {shown}; "
            f"run them, or leave a factor out ({len(order)} of {len(full)} cells given)"
        )

    everywhere = set.intersection(*(set(cells[cell]) for cell in order))
    anywhere = set().union(*(cells[cell] for cell in order))
    numbers = {seed: [as_float(cells[cell][seed]) for cell in order] for seed in sorted(everywhere)}
    excluded = tuple(seed for seed, row in numbers.items() if not all(math.isfinite(value) for value in row))
    seeds = tuple(seed for seed in numbers if seed not in excluded)
    unpaired = tuple(sorted(anywhere - everywhere))
    off = mean_of([numbers[seed][order.index(frozenset())] for seed in seeds]) if frozenset() in cells else None

    drafts = []
    for index, name in enumerate(names, start=1):
        halves = 2.0 ** len(name)  # -1/2, +1/2 coding: a difference for one factor, a difference of differences for two
        weights = (columns[:, index] * halves / len(order)).tolist()
        contrasts = tuple(
            sum(weight * value for weight, value in zip(weights, numbers[seed], strict=True)) for seed in seeds
        )
        reach = [max(abs(value) for value in numbers[seed]) for seed in seeds]
        blank = Comparison(" x ".join(name), "paired", len(seeds), margin, PENDING, seeds, contrasts)
        blank = replace(blank, unpaired=unpaired, excluded=excluded, test=test)
        drafts.append(paired(blank, reach, off, higher_is_better))
    settled = settle(drafts, alpha, higher_is_better, interactions={d.name for d in drafts[len(factors) :]})
    return [Effect(name, comparison) for name, comparison in zip(names, settled, strict=True)]


@dataclass(frozen=True)
class Factorial:
    """A full factorial set of cells: its factors, the cells' values by seed, and the effects."""

    factors: tuple[str, ...]
    effects: tuple[Effect, ...]


def factorial(group: Group) -> Factorial | None:
    """The largest set of at least two variants of which the group has every composition; None when there is none."""
    if group.reference is None:
        return None
    cells: dict[frozenset[str], Method] = {frozenset(): group.reference}
    for method in group.others:
        parts = frozenset(method.variant.split("+"))
        if method.label == method.variant:
            cells.setdefault(parts, method)
    single = sorted(next(iter(parts)) for parts in cells if len(parts) == 1)[:12]
    for size in range(len(single), 1, -1):
        for factors in combinations(single, size):
            wanted = [frozenset(part) for count in range(size + 1) for part in combinations(factors, count)]
            if all(cell in cells for cell in wanted):
                values = {cell: cells[cell].values(group.metric) for cell in wanted}
                better, margin = group.higher_is_better, group.margin
                found = factorial_effects(values, margin=margin, higher_is_better=better, test=group.test)
                return Factorial(factors, tuple(found))
    return None
