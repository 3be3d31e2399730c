"""The page of a judged table: the first screen, every comparison and every run in full, and how the table was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.version import __version__
from reports import cells
from reports.analysis.costs import ROW, Ratio, front_words, pareto
from reports.analysis.costs import rows as cost_rows
from reports.analysis.estimates import estimate
from reports.analysis.power import MINIMUM_SEEDS
from reports.analysis.promises import METHOD, promise
from reports.analysis.words import counted, shorten
from reports.cells import Column, counts, names, table
from reports.figures.effects import forest
from reports.page import Answer, Control, Data, Effect, Page, Paper, Section, Table
from reports.pages.answer import MOST_ROWS, effect, headline, remaining
from reports.pages.comparisons import statistics
from reports.pages.paper import COMPARISON, Arm, column_table, comparison_rows, references
from reports.pages.paper import statistics as methods_of

if TYPE_CHECKING:
    import pandas as pd

    from reports.judging.columns import Runs
    from reports.judging.families import Judged

MOST_RUNS = 2000
"""Rows of the table of runs; the file has them all."""


def make_page(
    given: Path | pd.DataFrame,
    runs: Runs,
    judged: Sequence[Judged],
    ratios: Mapping[str, Mapping[str, Ratio]],
    asks: Mapping[str, Any],
    notes: Sequence[str],
) -> Page:
    """The page of a table's verdicts; `ratios` are the logarithms of cost ratios by cost and arm, `asks` is the plan."""
    first = judged[0]
    name = given.name if isinstance(given, Path) else "a data frame"
    content = given.read_bytes() if isinstance(given, Path) else given.to_csv(index=False).encode()
    drawn = forest(first.comparisons, runs.reference, "differences", "as they were given", shorten(first.metric, 40))
    tables = [_statistics(one, runs.reference, index) for index, one in enumerate(judged)]
    if runs.costs:
        tables.append(_costs(runs, ratios))
    tables += [_means(runs, judged), _runs(runs)]
    facts = {"Table": f"{name}, SHA-256 {hashlib.sha256(content).hexdigest()[:16]}", "Rows": f"{len(runs.frame):,}"}
    facts |= {name.capitalize(): shorten(str(value), 200) for name, value in runs.understood.items()}
    how = (
        f"Judged by harness {__version__} from results that were made elsewhere: budgets, data and seeds are as their authors say.",
        *notes,
    )
    others = ", ".join(asks["secondary"]) or "none"
    planned = (
        f"Plan {asks['digest']}: {shorten(asks['question'], 600)} Margin: {asks['margin_from']}. Secondary metrics: {others}. "
        "Judged after the runs were made, so exploratory unless this digest was written down before: arms, reference, metrics, "
        "margin and number of seeds give it, and no result does but a margin derived from the reference's mean."
    )
    ns = sorted({one.n for one in first.comparisons if one.method == "paired"})
    promised = [promise(n, len(first.comparisons), first.comparisons[0].test) for n in sorted({ns[0], ns[-1]} if ns else ())]
    sections = [
        *([Section("seeds", "Every seed", figures=(drawn,))] if drawn else []),
        Section("tables", "Tables", tables=tuple(tables)),
        Section("statistics", "How sure", (planned, METHOD, *promised)),
        Section("method", "How the table was read", how),
    ]
    answer = _answer(runs, judged, ratios, asks["digest"])
    return Page(
        title=f"Verdicts on {shorten(name, 80)}",
        summary=(answer.headline, answer.setting, *(_sentence(one) for one in answer.effects)),
        sections=tuple(sections),
        facts=facts,
        answer=answer,
        data=_data(runs, judged, ratios),
        paper=_paper(name, runs, first, ratios),
    )


def _data(runs: Runs, judged: Sequence[Judged], ratios: Mapping[str, Mapping[str, Ratio]]) -> tuple[Data, ...]:
    """A row for each run and metric, a row for each comparison, and a row for each cost of an arm."""
    columns = ("arm", "seed", "metric", "value", "higher_is_better", *runs.costs)
    rows: list[tuple[object, ...]] = []
    for record in runs.frame.to_dict("records"):
        costs = [record[cost] for cost in runs.costs]
        rows += [
            (record["arm"], int(record["seed"]), one.metric, record[one.metric], one.higher_is_better, *costs)
            for one in judged
        ]
    comparisons = [
        row
        for one in judged
        for row in comparison_rows("judged", one.comparisons, runs.reference, one.metric, one.higher_is_better)
    ]
    spent = tuple(cost_rows("judged", runs.reference, ratios))
    return (
        Data("runs", columns, tuple(rows)),
        Data("comparisons", COMPARISON, tuple(comparisons)),
        *([Data("costs", ROW, spent)] if spent else []),
    )


def _paper(name: str, runs: Runs, first: Judged, ratios: Mapping[str, Mapping[str, Ratio]]) -> Paper:
    values = runs.values(first.metric)
    cost = next(iter(runs.costs), None)
    arms = [Arm(shorten(runs.reference, 60), "1.00x" if cost else "", estimate(values[runs.reference]))]
    for one in first.comparisons:
        found = ratios[one.name].get(cost) if cost else None
        ratio = f"{found.ratio:.2f}x" if found else ""
        arms.append(Arm(shorten(one.name, 60), ratio, estimate(values[one.name]), one))
    better = f"{'Higher' if first.higher_is_better else 'Lower'} is better."
    pairing = "paired by seed" if runs.paired else "unpaired"
    table = column_table(
        arms, shorten(first.metric, 40), first.margin, f"{better} Cost: {cost}." if cost else better, pairing
    )
    judged = methods_of(first.comparisons, first.margin)
    text = (
        f"We compared {', '.join(shorten(one.name, 60) for one in first.comparisons)} with {shorten(runs.reference, 60)} by "
        f"{first.metric} ({better.lower()[:-1]}), from {len(runs.frame):,} runs in {name}. "
        f"{judged} Computed with ablation-harness {__version__}."
    )
    return Paper(table, (text, "\n".join(references(judged))))


def _sentence(one: Effect) -> str:
    return f"{one.name}: {', '.join(part for part in (one.verdict or 'reference', one.text, one.cost, one.sure) if part)}."


def _answer(runs: Runs, judged: Sequence[Judged], ratios: Mapping[str, Mapping[str, Ratio]], digest: str) -> Answer:
    first, *others = judged
    digits = cells.decimals_of(first.margin)
    better = "higher" if first.higher_is_better else "lower"
    pairing = "paired by seed" if runs.paired else "unpaired"
    base = estimate(runs.values(first.metric)[runs.reference])
    shown = cells.mean(base, digits).text
    spread = cells.spread(base, digits).text
    text = shown if spread == cells.NONE else f"{shown} {spread}"
    rows = [Effect(shorten(runs.reference, 60), text=text, sure=counted(base.n, "seed"))]
    for one in first.comparisons[:MOST_ROWS]:
        costs = [f"{found.words} {shorten(name, 20)}" for name, found in ratios[one.name].items()]
        rows.append(effect(one, one.name, digits, ", ".join(costs[:3])))
    more = len(first.comparisons) - MOST_ROWS
    failed = sum(bool(one.excluded) for one in first.comparisons)
    few, most = min(one.n for one in first.comparisons), max(one.n for one in first.comparisons)
    seeds = counted(few, "seed") if few == most else f"{few} to {most} seeds"
    controls = [
        Control(not failed, f"{counted(failed, 'arm')} with a failed run" if failed else "no run failed"),
        Control(few >= MINIMUM_SEEDS, f"{seeds} an arm, {pairing}"),
        *(_flips(first, other) for other in others),
    ]
    return Answer(
        headline=headline({one.name: one.verdict.kind.value for one in first.comparisons}, first.margin),
        setting=f"{shorten(first.metric, 60)}, {better} is better; {counted(len(first.comparisons), 'comparison')}, {pairing}, "
        f"Holm-adjusted at 5%, margin {first.margin:g} ({first.margin_from}); plan {digest}."
        + (f" {more} more arms are in the tables." if more > 0 else ""),
        gain=f"{shorten(first.metric, 40)} minus that of {shorten(runs.reference, 40)}",
        margin=first.margin,
        effects=tuple(rows),
        controls=tuple(controls),
        tradeoff=tuple(filter(None, [_fronts(runs, first, ratios)])),
        remaining=tuple(remaining({one.name: one for one in first.comparisons})),
    )


def _fronts(runs: Runs, first: Judged, ratios: Mapping[str, Mapping[str, Ratio]]) -> str:
    """Who is not beaten in the metric and a cost at once."""
    sign = 1 if first.higher_is_better else -1
    gains = {one.name: sign * one.mean for one in first.comparisons if one.mean is not None and not one.excluded}
    found = {}
    for cost in runs.costs:
        points = {name: (ratios[name][cost].ratio, gain) for name, gain in gains.items() if cost in ratios[name]}
        found[cost] = pareto({runs.reference: (1.0, 0.0)} | points) if points else []
    return front_words(found)


def _flips(first: Judged, other: Judged) -> Control:
    """Whether a secondary metric says the opposite."""
    opposite = {"helps": "hurts", "hurts": "helps"}
    by_name = {one.name: one.verdict.kind.value for one in other.comparisons}
    flipped = [one.name for one in first.comparisons if by_name[one.name] == opposite.get(one.verdict.kind.value)]
    if flipped:
        return Control(False, f"{other.metric} says the opposite of {', '.join(shorten(name, 30) for name in flipped[:4])}")
    return Control(True, f"{other.metric} contradicts no verdict")


def _statistics(one: Judged, base: str, index: int) -> Table:
    found = {row.name: row for row in one.comparisons}
    title = f"{'Secondary: ' if index else ''}{shorten(one.metric, 60)} against {shorten(base, 60)}"
    id_ = f"statistics-{index + 1}" if index else "statistics"
    return statistics(found, base, id_, title, shorten(one.metric, 60), cells.decimals_of(one.margin))


def _costs(runs: Runs, ratios: Mapping[str, Mapping[str, Ratio]]) -> Table:
    columns: list[Column[str]] = [names("arm", lambda arm: arm)]
    for cost in runs.costs:
        heading = f"{shorten(cost, 60)} (x {shorten(runs.reference, 30)})"
        columns.append(Column(heading, lambda arm, cost=cost: cells.cost_ratio(ratios[arm].get(cost))))  # type: ignore[misc]
    note = (
        "Geometric means of the ratio at the same seed with 95% t intervals of its logarithm; without common seeds, the ratio "
        "of means."
    )
    return table("costs", "Costs", columns, runs.arms[1:], note)


def _means(runs: Runs, judged: Sequence[Judged]) -> Table:
    columns: list[Column[str]] = [names("arm", lambda arm: arm)]
    for one in judged:
        values, digits = runs.values(one.metric), cells.decimals_of(one.margin)
        found = {arm: estimate(by_seed) for arm, by_seed in values.items()}
        if one is judged[0]:
            columns.append(counts("seeds", lambda arm, found=found: len(found[arm].seeds)))  # type: ignore[misc]
        name = shorten(one.metric, 60)
        columns.append(Column(f"{name}, mean", lambda arm, found=found, d=digits: cells.mean(found[arm], d)))  # type: ignore[misc]
        columns.append(Column(f"{name}, 95% interval", lambda arm, found=found, d=digits: cells.spread(found[arm], d)))  # type: ignore[misc]
    return table("metrics", "Every arm", columns, runs.arms, "Intervals are for one mean alone.")


def _runs(runs: Runs) -> Table:
    def column(name: str) -> Column[Any]:
        return Column(shorten(name, 60), lambda row: cells.significant(row[name], 6))

    columns: list[Column[Any]] = [
        names("arm", lambda row: str(row["arm"])),
        counts("seed", lambda row: int(row["seed"])),
        *(column(name) for name in (*runs.metrics, *runs.costs)),
    ]
    rows = runs.frame.head(MOST_RUNS).to_dict("records")
    note = "" if len(rows) == len(runs.frame) else f"The first {MOST_RUNS:,} of {len(runs.frame):,} runs; the file has all."
    return table("runs", "Every run", columns, rows, note)
