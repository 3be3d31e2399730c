"""Tables of comparisons: every test in full, every seed's difference, effects of factorial plans, A/A plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.ablation.auto import Decision
from reports import cells
from reports.analysis.comparisons import Comparison
from reports.analysis.contrasts import Effect, Factorial
from reports.analysis.estimates import Estimate
from reports.analysis.groups import Decided, Group
from reports.analysis.secondary import AUTO, Secondary, judged
from reports.analysis.verdicts import Kind
from reports.analysis.words import listed
from reports.cells import NONE, Column, counts, names, table, words
from reports.page import Table

_MOST_SEEDS = 12


def _verdict(comparison: Comparison) -> str:
    """The verdict's sentence, and the seeds that it leaves out."""
    extra = []
    if comparison.unpaired:
        extra.append(f"seeds that only one side has: {listed(comparison.unpaired, _MOST_SEEDS)}")
    if comparison.excluded:
        extra.append(f"seeds without a finite value: {listed(comparison.excluded, _MOST_SEEDS)}")
    return comparison.verdict.words + (f" ({'; '.join(extra)})" if extra else "")


def statistics(found: Mapping[str, Comparison], base: str, id_: str, title: str, metric: str, decimals: int = 4) -> Table:
    """Every comparison in full; `metric` names what is compared."""
    test = "signed-rank" if any(one.test == "signed-rank" for one in found.values()) else "t test"
    columns: list[Column[tuple[str, Comparison]]] = [
        names("comparison", lambda row: f"{row[0]} - {base}" if base else row[0]),
        counts("pairs", lambda row: row[1].n),
        Column(f"mean difference ({metric})", lambda row: cells.figure(row[1].mean, decimals, sign=True)),
        Column("adjusted interval", lambda row: cells.interval(row[1].low, row[1].high, decimals, sign=True)),
        words("verdict", lambda row: _verdict(row[1])),
        Column("95%, alone", lambda row: cells.interval(row[1].low_alone, row[1].high_alone, decimals, sign=True)),
        Column("sd of differences", lambda row: cells.figure(row[1].sd, decimals)),
        Column(f"p ({test})", lambda row: cells.probability(row[1].p)),
        Column("p (Holm)", lambda row: cells.probability(row[1].p_adjusted)),
        Column("p (equivalence, Holm)", lambda row: cells.probability(row[1].p_equivalence_adjusted)),
        words("seeds better / worse", lambda row: NONE if row[1].better is None else f"{row[1].better} / {row[1].worse}"),
        Column("p (sign test)", lambda row: cells.probability(row[1].p_sign)),
        Column("median difference", lambda row: cells.figure(row[1].median, decimals, sign=True)),
        Column(
            "median, at least 95%", lambda row: cells.interval(row[1].median_low, row[1].median_high, decimals, sign=True)
        ),
    ]
    note = (
        "p (Holm) and the adjusted interval answer for all comparisons of the family: the interval is at the level at which Holm "
        "tested the comparison, and excludes 0 where p (Holm) is at most 5%. '95%, alone' is for one comparison alone."
    )
    return table(id_, title, columns, found.items(), note)


def contrasts(group: Group, id_: str, title: str, metric: str) -> Table | None:
    """The plan's family where not all of it is against base, such as leave-one-out; None otherwise."""
    plan = group.plan
    asked = {one["name"]: one for one in (plan.question.get("contrasts") or ())} if plan else {}
    if plan is None or all(one["reference"] == plan.reference for one in asked.values()):
        return None
    names_ = {
        one.name: f"{one.name}: {asked[one.name]['treated']} - {asked[one.name]['reference']}" for one in group.contrasts
    }
    return statistics({names_[one.name]: one for one in group.contrasts}, "", id_, title, metric)


def by_metric(group: Group, others: Sequence[Secondary], id_: str, title: str, metric: str) -> Table:
    """Each arm's verdict by every metric, so that one that flips is seen; the first decides."""
    found = {one.name: one for one in judged(group)}
    rows = {one.metric: {row.name: row for row in one.comparisons} for one in others}

    def of(name: str, one: Comparison | None) -> str:
        if one is None:
            return NONE
        gain = cells.gain(one)
        return one.verdict.kind.value + ("" if gain == NONE else f" {gain}")

    columns: list[Column[str]] = [
        names("arm", lambda name: name),
        words(f"{metric} decides", lambda name: of(name, found[name])),
        *(words(one.title, lambda name, one=one: of(name, rows[one.metric].get(name))) for one in others),  # type: ignore[misc]
    ]
    sources: dict[str, list[str]] = {}
    for one in others:
        sources.setdefault(one.margin_from, []).append(f"{one.title} {one.margin:g}")
    margins = "; ".join(f"{', '.join(of)}: {source}" for source, of in sources.items())
    note = (
        "Verdict, and mean difference with its interval at the level at which Holm tested it, in the metric's own family: they are "
        f"secondary, and over all metrics together nothing is adjusted. Margins: {margins}."
    )
    if group.decided is not None:
        note += f" All but the first are exploratory: {AUTO}."
    return table(id_, title, columns, list(found), note)


def decisions(decided: Decided, id_: str, title: str, metric: str) -> Table:
    """Where each arm of a plan with a rule of seeds stopped, and its interval after stopping."""
    most = decided.rule.most
    columns: list[Column[Decision]] = [
        names("arm", lambda one: one.arm),
        words("verdict", lambda one: one.verdict),
        counts("seeds", lambda one: one.seeds),
        words("look", lambda one: _look(one, decided.rule.looks)),
        Column(f"mean difference ({metric})", lambda one: cells.figure(one.difference, 4, sign=True)),
        Column("interval after stopping", lambda one: cells.interval(one.low, one.high, 4, sign=True)),
        Column("for this arm alone", lambda one: cells.interval(one.low_alone, one.high_alone, 4, sign=True)),
        Column("p (all looks, Holm)", lambda one: cells.probability(one.p)),
        Column("p (equivalence, all looks, Holm)", lambda one: cells.probability(one.p_equivalence)),
    ]
    note = (
        f"At most {most} seeds an arm, margin {decided.rule.margin:g}. Intervals are 95% over all looks; the first at the level of "
        "the arm's Holm step, so that it excludes 0 if, and only if, the arm helps or hurts. A failed arm has the figures of the "
        "look before."
    )
    return table(id_, title, columns, decided.decisions, note)


def _look(one: Decision, looks: Sequence[int]) -> str:
    """'3 of 6'."""
    return f"{looks.index(one.seeds) + 1} of {len(looks)}" if one.seeds in looks else NONE


def pairs(group: Group, id_: str, title: str, metric: str) -> Table:
    """Every seed's paired difference; `metric` is the title of the group's."""
    base = group.reference.values(group.metric) if group.reference else {}
    rows = [
        (method.label, seed, base[seed], value)
        for method in group.others
        for seed, value in method.values(group.metric).items()
        if seed in base
    ]
    columns: list[Column[tuple[str, int, float, float]]] = [
        names("method", lambda row: row[0]),
        counts("seed", lambda row: row[1]),
        Column(f"base's {metric}", lambda row: cells.figure(row[2], 4)),
        Column(metric, lambda row: cells.figure(row[3], 4)),
        Column("difference", lambda row: cells.figure(row[3] - row[2], 4, sign=True)),
    ]
    return table(id_, title, columns, rows, "Seeds that both have. '-' stands for a value that is not finite.")


def effects(factorial: Factorial, id_: str, title: str, metric: str) -> Table:
    """Main effects and pairwise interactions."""
    columns: list[Column[Effect]] = [
        names("effect", lambda one: one.comparison.name),
        words("kind", lambda one: "main effect" if len(one.factors) == 1 else "interaction"),
        counts("seeds", lambda one: one.comparison.n),
        Column(f"mean ({metric})", lambda one: cells.figure(one.comparison.mean, 4, sign=True)),
        Column("adjusted interval", lambda one: cells.interval(one.comparison.low, one.comparison.high, 4, sign=True)),
        Column("p (Holm)", lambda one: cells.probability(one.comparison.p_adjusted)),
        words("verdict", lambda one: _verdict(one.comparison)),
    ]
    note = (
        f"Main effect: {metric} with the variant minus {metric} without it, averaged over all settings of the others. "
        "Interaction of A and B: what A adds in the presence of B minus what it adds without B; above zero, both together are "
        "better than the sum of what each adds. Holm-adjusted over all effects of this table."
    )
    return table(id_, title, columns, factorial.effects, note)


def copies(found: Sequence[Comparison], id_: str, title: str, metric: str) -> Table:
    """A/A plans: base against a renamed copy of itself with other seeds (`analysis.copies`)."""
    alarm = (Kind.HELPS, Kind.HURTS)

    def arm(estimate: Estimate | None, what: Any) -> Any:
        assert estimate is not None
        return what(estimate)

    columns: list[Column[Comparison]] = [
        names("plan", lambda one: one.name),
        counts("pairs", lambda one: one.n),
        Column(f"{metric} of base, mean", lambda one: arm(one.baseline, lambda side: cells.mean(side, 4))),
        Column(f"{metric} of copy, mean", lambda one: arm(one.treated, lambda side: cells.mean(side, 4))),
        Column("difference", cells.difference),
        Column("95% interval", cells.difference_interval),
        Column("sd of differences", lambda one: cells.figure(one.sd, 4)),
        Column("p", cells.adjusted),
        words("verdict", lambda one: one.verdict.words + (" - a false alarm" if one.verdict.kind in alarm else "")),
    ]
    note = (
        "Both arms are base; their seeds differ. The test is the one that judges arms, over pairs made in the order of the seeds. "
        "At 5%, one such plan in twenty raises a false alarm."
    )
    return table(id_, title, columns, found, note)
