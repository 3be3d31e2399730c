"""Verdicts of plans with `--seeds auto`: those of the rule, decided here again from the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.ablation.auto import Decision, SeedRule, Values, decide
from harness.ablation.sequential import level
from reports.analysis.comparisons import Comparison, compare
from reports.analysis.groups import Decided, Group
from reports.analysis.records import PlanRecord
from reports.analysis.verdicts import Kind, Verdict


def decided(group: Group, plans: Sequence[PlanRecord], warnings: list[str]) -> Group:
    """The group with the verdicts of the rule for the arms of a plan that has one, judges what the group judges, and whose runs of
    base are in it.

    Its arms have seeds in different numbers because of what was seen, so no test of a fixed number of seeds fits them.
    """
    if group.reference is None:
        return group
    own = {run.run_id for run in group.reference.runs.values()}
    found = [
        plan
        for plan in plans
        if plan.seed_rule
        and SeedRule.of(plan.seed_rule).metric == group.metric
        and any(cell.variant == plan.reference and cell.run_id in own for cell in plan.cells)
    ]
    if not found:
        return group
    plan = min(found, key=lambda one: (one.seed_rule["most"], one.key))
    if len(found) > 1:
        most = ", ".join(str(one.seed_rule["most"]) for one in found)
        warnings.append(
            f"{len(found)} plans with a rule of seeds share these runs (at most {most} seeds); the verdicts are those of the first "
            "to end. Seeds added after its end because of what was seen are exploratory"
        )
    rule = SeedRule.of(plan.seed_rule)
    runs = {run.run_id: run for run in group.runs}
    values: dict[str, dict[int, float | None]] = {}
    for cell in plan.cells:
        row = values.setdefault(cell.label, {})
        if cell.run_id in runs:
            row[cell.seed] = runs[cell.run_id].metric(rule.metric)
        elif cell.status == "failed":
            row[cell.seed] = None
    reference: Values = values.pop(plan.reference, {})
    standing = decide(rule, plan.seeds, reference, values)
    comparisons = dict(group.comparisons)
    for one in standing.decisions:
        if one.arm in comparisons:
            used = plan.seeds[: one.seeds]
            sides = _only(reference, used), _only(values[one.arm], used)
            paired = compare(*sides, name=one.arm, margin=rule.margin, higher_is_better=rule.higher_is_better)
            comparisons[one.arm] = _comparison(paired, one, rule.margin)
    contrasts = tuple(comparisons.get(one.name, one) for one in group.contrasts)
    return replace(group, comparisons=comparisons, contrasts=contrasts, decided=Decided(rule, standing.decisions))


def _only(values: Values, seeds: Sequence[int]) -> dict[int, float | None]:
    return {seed: values[seed] for seed in seeds}


def _comparison(paired: Comparison, one: Decision, margin: float) -> Comparison:
    """The comparison of the seeds of the arm's last look, with p values and the interval that hold for all looks."""
    return replace(
        paired,
        verdict=Verdict(Kind(one.verdict), one.words, beyond_margin=one.beyond(margin)),
        low=one.low,
        high=one.high,
        low_alone=one.low_alone,
        high_alone=one.high_alone,
        p=None,
        p_adjusted=one.p,
        p_equivalence=None,
        p_equivalence_adjusted=one.p_equivalence,
    )


def method(rule: SeedRule) -> str:
    """How seeds were added and what the verdicts promise, in words; the figures are those of docs/results/2026-11-26-seeds."""
    levels = ", ".join(f"{level(rule.alpha, n, rule.looks):.2%}" for n in rule.looks)
    return (
        f"As many seeds as needed: the plan looked after {', '.join(map(str, rule.looks))} seeds, and an arm stopped at the first "
        f"look at which it helped, hurt or was equivalent within {rule.margin:g}; the rest went on with new seeds, to "
        f"{rule.most} at most. The rule was fixed before the first run. Paired t tests have group-sequential boundaries (nominal "
        f"levels of one arm: {levels}; they grow with the square root of the seeds), so that all looks together err with "
        f"{rule.alpha:.0%}, and Holm's steps over the plan's arms at every look, for differences and for equivalence each (Liu & "
        "Anderson 2008; Ye et al. 2013). Intervals are repeated confidence intervals (Jennison & Turnbull 1989) at the arm's Holm "
        "step: they cover whatever made the arm stop. An arm with a failed seed has failed, and counts in the family. In 10,000 "
        "simulated plans with five arms under normal noise, heavy tails, unequal variances and failed seeds, at most 4.5% made a "
        "false claim of a difference and at least 95.8% of plans had all five intervals right. Not promised: where the means are "
        "equal because arms collapse in rare seeds and do better in all others, 79% of plans claim a difference."
    )
