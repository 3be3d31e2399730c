"""Which comparisons are adjusted together: a plan's, and nothing else that lies in the store.

Failure is an outcome: a cell of the plan that failed is a seed without a value, which blocks the verdict of its arm and keeps its
place in the family.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.ablation.plan import TESTS
from reports.analysis.comparisons import Comparison, compare_all, draft, settle
from reports.analysis.estimates import Values
from reports.analysis.records import PlanRecord, RunRecord

FAILED = "failed"


def plan_of(runs: Sequence[RunRecord], match: str, plans: Iterable[PlanRecord]) -> PlanRecord | None:
    """The plan that made these runs, at the equal budget `match`: one whose arms ran rather than one whose arms all failed or
    are yet to run, then the one with the most cells, then one that asks.
    """
    ids = {run.run_id for run in runs}
    variants = {run.variant for run in runs}

    def ran(plan: PlanRecord, reference: bool) -> bool:
        own = (cell for cell in plan.cells if cell.label == cell.variant and (cell.variant == plan.reference) is reference)
        return any(cell.run_id in ids for cell in own)

    def failed(plan: PlanRecord) -> bool:
        return any(cell.status == FAILED and cell.label == cell.variant != plan.reference for cell in plan.cells)

    here = [plan for plan in plans if plan.match == match]
    found = [
        plan
        for plan in here
        if ran(plan, reference=False) or (ran(plan, reference=True) and (failed(plan) or variants == {plan.reference}))
    ]
    return max(
        found,
        key=lambda plan: (ran(plan, reference=False), len(plan.cells), bool(plan.question), plan.key),
        default=None,
    )


def planned_values(runs: Sequence[RunRecord], plan: PlanRecord, metric: str) -> dict[str, dict[int, float | None]]:
    """Row -> seed -> metric, of the plan's cells that finished or failed; None for one that failed. The reference among them."""
    by_id = {run.run_id: run for run in runs}
    found: dict[str, dict[int, float | None]] = {}
    for cell in plan.cells:
        if cell.label != cell.variant:
            continue
        if cell.run_id in by_id:
            found.setdefault(cell.label, {})[cell.seed] = by_id[cell.run_id].metric(metric)
        elif cell.status == FAILED:
            found.setdefault(cell.label, {})[cell.seed] = None
    return found


def test_of(plan: PlanRecord) -> str:
    """The plan's test: a name of `harness.ablation.plan.TESTS`."""
    return next((name for name, words in TESTS.items() if words == plan.question.get("test")), "t")


def contrasts(runs: Sequence[RunRecord], plan: PlanRecord, metric: str, margin: float, better: bool) -> list[Comparison]:
    """The family of a plan: its contrasts, Holm-adjusted together. A rule of seeds decides afterwards.

    A contrast without any finished or failed cell counts in the family as one that cannot be judged yet.
    """
    values = planned_values(runs, plan, metric)
    apart = {plan.reference, *(plan.question.get("controls") or ())}
    asked = plan.question.get("contrasts") or [
        {"name": name, "treated": name, "reference": plan.reference}
        for name in dict.fromkeys(cell.label for cell in plan.cells if cell.label == cell.variant)
        if name not in apart
    ]
    pairs = [(one["name"], values.get(one["reference"], {}), values.get(one["treated"], {})) for one in asked]
    return settle(
        [draft(name, a, b, margin, better, test_of(plan)) for name, a, b in pairs],
        float(plan.question.get("alpha", 0.05)),
        better,
    )


def controls(runs: Sequence[RunRecord], plan: PlanRecord, metric: str, margin: float, better: bool) -> list[Comparison]:
    """The plan's controls against its reference: a family of their own, so that they make no other claim harder."""
    values = planned_values(runs, plan, metric)
    wanted: Mapping[str, Any] = plan.question.get("controls") or {}
    treated: dict[str, Values] = {name: values.get(name, {}) for name in wanted}
    base = values.get(plan.reference, {})
    return compare_all(base, treated, margin=margin, higher_is_better=better, test=test_of(plan))
