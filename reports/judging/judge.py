"""Verdicts over a file of results: the comparisons, and the document and lines that state them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.reports import Judgement
from reports import cells
from reports.analysis.comparisons import Comparison, check
from reports.analysis.costs import Ratio
from reports.analysis.words import counted, listed, shorten
from reports.judging.columns import Asked, Runs, read_runs
from reports.judging.families import ALPHA, Judged, check_test, compared, cost_ratios, plan
from reports.judging.tables import name_of

if TYPE_CHECKING:
    import pandas as pd


def judge(
    given: Path | pd.DataFrame,
    *,
    arm: str | None = None,
    seed: str | None = None,
    metrics: Sequence[str] = (),
    higher_is_better: bool | None = None,
    reference: str | None = None,
    margin: float | None = None,
    costs: Sequence[str] = (),
    test: str = "t",
) -> Judgement:
    """Judges the arms of a table of results against one of them.

    Args:
        given: a data frame, or a file: CSV, Parquet or JSON lines; see `tables.read` for the shapes.
        arm: the column that names what is compared; several with commas between. Guessed from its name otherwise, as are the
            seed, the metric, its direction and the reference; the answer says what was guessed.
        seed: the column that pairs runs of different arms.
        metrics: columns, the primary one first.
        higher_is_better: the direction of the primary metric.
        margin: the smallest difference of interest, in units of the primary metric. Default: 0.005 for SSIM, else 1% of the
            reference's mean.
        costs: columns that are shown as ratios to the reference's.
        test: t, or signed-rank where runs may collapse; it needs runs that are paired by seed.

    Raises:
        RequestError: the file cannot be read, its columns cannot be told apart, or the test does not fit them.
    """
    if margin is not None:
        check(margin)
    asked = Asked(arm=arm, seed=seed, metrics=metrics, higher_is_better=higher_is_better, reference=reference, costs=costs)
    runs = read_runs(given, asked)
    check_test(runs, test)
    judged = [compared(runs, name, margin if index == 0 else None, test) for index, name in enumerate(runs.metrics)]
    ratios = cost_ratios(runs)
    asks = plan(runs, judged, test)
    notes = tuple(_notes(runs, judged[0]))

    def write(out: Path, pdf: bool = False) -> list[Path]:
        from reports.judging.page import make_page
        from reports.pages.folder import write as write_page

        return write_page(make_page(given, runs, judged, ratios, asks, notes), out, pdf=pdf)

    return Judgement(
        document=_document(name_of(given), runs, judged, ratios) | {"plan": asks},
        lines=tuple(_lines(runs, judged, ratios)),
        notes=notes,
        write=write,
    )


def _document(name: str, runs: Runs, judged: Sequence[Judged], ratios: Mapping[str, Mapping[str, Ratio]]) -> dict[str, Any]:
    first, *others = judged
    rows = [
        _row(one, runs.reference) | {"costs": {cost: _ratio(ratios[one.name].get(cost)) for cost in runs.costs}}
        for one in first.comparisons
    ]
    return {
        "file": name,
        "reference": runs.reference,
        **_family(first),
        "alpha": ALPHA,
        "paired": runs.paired,
        "columns": dict(runs.understood),
        "guessed": list(runs.guessed),
        "notes": list(runs.notes),
        "comparisons": rows,
        "secondary": [
            _family(one) | {"comparisons": [_row(row, runs.reference) for row in one.comparisons]} for one in others
        ],
    }


def _family(one: Judged) -> dict[str, Any]:
    return {"metric": one.metric, "higher_is_better": one.higher_is_better, "margin": one.margin}


def _row(one: Comparison, reference: str) -> dict[str, Any]:
    """As `harness compare --json` has it, and more. Seeds that survived a failed one are no difference."""
    alone = {"p_alone": one.p, "low_alone": one.low_alone, "high_alone": one.high_alone}
    row = one.document(reference) | alone | {"method": one.method, "failed_seeds": list(one.excluded)}
    return row | (dict.fromkeys(("difference", "low", "high", "low_alone", "high_alone")) if one.excluded else {})


def _ratio(one: Ratio | None) -> dict[str, float | None]:
    return {name: None if one is None else getattr(one, name) for name in ("ratio", "low", "high")}


def _notes(runs: Runs, first: Judged) -> list[str]:
    """What the columns were taken for, and what happened to rows."""
    flags = {"arm": "--arm", "seed": "--seed", "metric": "--metric", "reference": "--reference", "costs": "--cost"}
    flags["better"] = "--higher-is-better or --lower-is-better"
    parts = [
        f"{name}: {shorten(str(value), 80)}{f' (guessed; {flags[name]})' if name in runs.guessed else ''}"
        for name, value in runs.understood.items()
    ]
    parts.append(f"margin: {first.margin:g}{'' if first.margin_from == 'given' else f' ({first.margin_from}; --margin)'}")
    return [*parts, *runs.notes]


def _lines(runs: Runs, judged: Sequence[Judged], ratios: Mapping[str, Mapping[str, Ratio]]) -> list[str]:
    lines = []
    for index, one in enumerate(judged):
        family = counted(len(one.comparisons), "comparison")
        lines.append(
            f"{'secondary: ' if index else ''}{one.metric} ({'higher' if one.higher_is_better else 'lower'} is better) against "
            f"{runs.reference}; margin {one.margin:g}; {family}, Holm-adjusted at {ALPHA:.0%}"
        )
        lines += [_line(row, ratios if index == 0 else {}) for row in one.comparisons]
    return lines


def _line(one: Comparison, ratios: Mapping[str, Mapping[str, Ratio]]) -> str:
    """'attention: helps, +0.0120 [+0.0040, +0.0200], p 0.012, 5 seeds, 1.20x seconds'."""
    parts = [cells.gain(one)] if one.mean is not None and not one.excluded else []
    if one.p_adjusted is not None:
        parts.append(f"p {cells.probability(one.p_adjusted).text}")
    parts.append(f"{counted(one.n, 'seed')}{'' if one.method == 'paired' else ', unpaired'}")
    parts += [f"{found.words} {cost}" for cost, found in ratios.get(one.name, {}).items()]
    shown = one.verdict.kind.value
    more = "" if one.verdict.words == shown else f" ({one.verdict.words})"
    failed = f" [failed: seed {listed(one.excluded, 6)}]" if one.excluded else ""
    return f"{shorten(one.name, 80)}: {shown}{failed}, {', '.join(parts)}{more}"
