"""A/A plans: base against a copy of itself with other seeds, judged by the paired test that judges arms."""

from __future__ import annotations

import json
from collections.abc import Mapping

from reports.analysis.comparisons import Comparison, compare
from reports.analysis.estimates import Values
from reports.analysis.groups import Group, context_of
from reports.analysis.records import Records
from reports.analysis.words import shorten

Sides = tuple[dict[int, float], dict[int, float]]


def copies(found: Records, metric: str) -> dict[str, Sides]:
    """A/A plans: name -> (seed -> metric of base, seed -> metric of the copy)."""
    by_id = found.by_id
    arms = {}
    for plan in found.plans:
        if not any(cell.label != cell.variant for cell in plan.cells):
            continue
        sides: Sides = ({}, {})
        contexts: set[str] = set()
        for cell in plan.cells:
            run = by_id.get(cell.run_id or "")
            if run is not None:
                sides[cell.label != cell.variant][cell.seed] = run.metric(metric)
                contexts.add(json.dumps(context_of(run), sort_keys=True))
        if all(sides) and len(contexts) == 1:
            arms[f"{plan.plan}, preset {shorten(plan.preset, 60)} ({plan.key[:8]})"] = sides
    return arms


def judged(arms: Mapping[str, Sides], group: Group) -> list[Comparison]:
    """Each A/A plan by the paired test of the group's plan, at its margin and in its direction.

    The two sides have no seed in common, so pairs are made by rank of the seed, without a look at values: the first of base with
    the first of the copy. Where sides have different numbers of runs the last of the longer one are left out.
    """
    found = []
    for name, (base, copy) in arms.items():
        pairs = list(zip(sorted(base), sorted(copy), strict=False))
        sides: tuple[Values, Values] = {a: base[a] for a, _ in pairs}, {a: copy[b] for a, b in pairs}
        one = compare(*sides, name=name, margin=group.margin, higher_is_better=group.higher_is_better, test=group.test)
        found.append(one)
    return found
