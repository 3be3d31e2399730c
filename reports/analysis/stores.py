"""Two stores or reports side by side: what changed beyond noise, what came and what went.

Rows are paired by their whole recipe: variant, all settings but the seed, data, test set, conventions and revision. Rows with
equal settings that differ in one of the latter are named as not comparable, and never judged.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import RequestError, unknown
from harness.evaluation.conventions import HEADLINE, METRICS
from harness.evaluation.metrics import Metric
from harness.reports import Difference
from harness.store import Store
from harness.variant import Variants
from reports.analysis import settings
from reports.analysis.comparisons import MARGIN, PENDING, Comparison, check, regression, settle
from reports.analysis.estimates import Estimate
from reports.analysis.groups import Context, Method, context_of, difference_words, differences
from reports.analysis.reading import DATA_FILE, read_document, read_store
from reports.analysis.records import MetricInfo, Records, RunRecord
from reports.analysis.verdicts import Kind
from reports.analysis.words import counted, listed, shorten

ALPHA = 0.05
_MOST_LINES = 200


@dataclass(frozen=True)
class _Row:
    """A method under one recipe."""

    recipe: str
    method: Method
    context: Context


def compare(a: Path, b: Path, variants: Variants, *, margin: float | None = None, metric: str = HEADLINE) -> Difference:
    """Compares B with A, both a store or the folder of a report, by one metric in its direction.

    `margin` is 0.005 for SSIM where it is not given.

    A row has regressed when `comparisons.regression` says that B hurts and that still holds when p is Holm-adjusted over all
    rows, or when a seed's metric is finite in A and not in B. The answer is undecided when no row has, and one at least is neither
    equivalent within the margin nor better.

    Raises:
        RequestError: the metric is unknown, or no margin is given for another one than SSIM; a folder is neither, holds no
            finished run, or the two have no comparable row.
    """
    del variants  # records are compared as they are, so plugins that are gone hinder nothing
    if margin is None and not metric.startswith("ssim"):
        raise RequestError(
            f"there is no default margin for {metric!r}; give the smallest difference of interest with --margin"
        )
    margin = MARGIN if margin is None else margin
    check(margin)
    rows_a, rows_b = _rows(_read(a)), _rows(_read(b))
    info = _info(metric, [*rows_a.values(), *rows_b.values()])
    common = [key for key in rows_a if key in rows_b]
    removed = [rows_a[key] for key in rows_a if key not in rows_b]
    added = [rows_b[key] for key in rows_b if key not in rows_a]
    apart = _apart(removed, added)
    if not common:
        why = f"; with equal settings, but {'; '.join(dict.fromkeys(reason for _, reason in apart))}" if apart else ""
        raise RequestError(
            f"nothing in {a} ({len(rows_a)} rows) and {b} ({len(rows_b)} rows) can be compared: no variant was run with equal "
            f"settings, test set, conventions and training revision in both{why}"
        )
    names = _labels(list(rows_a.values()), added)
    compared = [_judge(names[key], rows_a[key].method, rows_b[key].method, margin, info) for key in common]
    settled = _adjust(compared, info)
    apart_keys = {row.recipe for row, _ in apart}
    document = {
        "a": str(a),
        "b": str(b),
        "metric": info.name,
        "title": info.title,
        "higher_is_better": info.higher_is_better,
        "margin": margin,
        "reference": str(a),
        "regressed": any(one["regressed"] for one in settled),
        "undecided": any(one["undecided"] for one in settled),
        "comparisons": [_comparison(one) for one in settled],
        "rows": settled,
        "removed": [_named(row, names) for row in removed if row.recipe not in apart_keys],
        "added": [_named(row, names) for row in added if row.recipe not in apart_keys],
        "not_comparable": [_named(row, names) | {"reason": reason} for row, reason in apart],
    }
    regressed = bool(document["regressed"])
    undecided = bool(document["undecided"]) and not regressed
    return Difference(document=document, lines=tuple(_lines(document)), regressed=regressed, undecided=undecided)


def _comparison(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row in the shape that every JSON of verdicts has; a row that lost a seed has failed."""
    shown = {"arm": row["name"]} | {name: row[name] for name in ("difference", "low", "high")}
    return shown | {"p": row["p_adjusted"], "verdict": Kind.FAILED.value if row["lost_seeds"] else row["kind"]}


def _read(path: Path) -> Records:
    if (path / DATA_FILE).is_file():
        found = read_document(path / DATA_FILE)
    elif path.is_dir():
        found = read_store(Store(path))
    else:
        raise RequestError(f"{path} is no folder; name a store, or the folder of a report")
    if not found.runs:
        raise RequestError(f"{path} has no finished run; name a store with runs, or the folder of a report")
    return found


def _rows(found: Records) -> dict[str, _Row]:
    grouped: dict[str, dict[int, RunRecord]] = defaultdict(dict)
    matched = _matched(found)
    for run in found.runs:
        grouped[_recipe(run, matched.get(run.run_id))].setdefault(run.seed, run)
    return {
        key: _Row(key, Method(runs[min(runs)].variant, runs[min(runs)].variant, runs), context_of(runs[min(runs)]))
        for key, runs in sorted(grouped.items(), key=lambda item: (item[1][min(item[1])].variant, item[0]))
    }


def _matched(found: Records) -> dict[str, str]:
    """Run id -> 'seconds' or 'flops' for the runs whose budget a plan set: it differs from seed to seed, as base's cost does."""
    return {
        cell.run_id: plan.match
        for plan in found.plans
        if plan.match != "steps"
        for cell in plan.cells
        if cell.run_id is not None and cell.variant != plan.reference
    }


def _recipe(run: RunRecord, match: str | None) -> str:
    context = context_of(run)
    if match is not None and run.settings.get(settings.SECONDS) is not None:
        context = {name: value for name, value in context.items() if name not in settings.BUDGET}
    return json.dumps([run.variant, match if settings.STEPS not in context else None, context], sort_keys=True)


def _labels(rows: Sequence[_Row], added: Sequence[_Row]) -> dict[str, str]:
    """Recipe -> name: the variant, and what sets a row apart from A's row of that variant with the most seeds."""
    main: dict[str, _Row] = {}
    for row in rows:
        if row.method.variant not in main or len(row.method.runs) > len(main[row.method.variant].method.runs):
            main[row.method.variant] = row
    for row in added:
        main.setdefault(row.method.variant, row)
    names = {}
    for row in [*rows, *added]:
        apart = differences(row.context, main[row.method.variant].context)
        extra = ", ".join(f"{name}={shorten(row.context.get(name, 'none'), 40)}" for name in apart[:6])
        names[row.recipe] = shorten(row.method.variant, 100) + (f" [{extra}]" if extra else "")
    return names


def _named(row: _Row, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": names[row.recipe],
        "variant": row.method.variant,
        "preset": row.method.first.preset,
        "seeds": row.method.seeds,
    }


def _apart(removed: Sequence[_Row], added: Sequence[_Row]) -> list[tuple[_Row, str]]:
    """Rows of A whose settings B has too, but under facts that forbid a comparison; and these facts."""
    found = []
    for row in removed:
        for other in added:
            if other.method.variant == row.method.variant and _settings(other) == _settings(row):
                names = differences(row.context, other.context)
                reason = "; ".join(difference_words(name, row.context, other.context) for name in names)
                found += [(row, reason), (other, reason)]
    return found


def _settings(row: _Row) -> dict[str, Any]:
    skip = {settings.SEED, *settings.FILES}
    return {path: value for path, value in row.method.first.settings.items() if path not in skip}


def _info(metric: str, rows: Sequence[_Row]) -> Metric | MetricInfo:
    """What the metric is: built in, or as a run recorded it. Raises RequestError."""
    measured = {one.name: one for row in rows for run in row.method.runs.values() for one in run.measured}
    known: dict[str, Metric | MetricInfo] = {**measured, **METRICS}
    if metric not in known:
        raise unknown("metric", metric, known)
    return known[metric]


def _judge(name: str, a: Method, b: Method, margin: float, info: Metric | MetricInfo) -> tuple[dict[str, Any], Comparison]:
    before, after = a.values(info.name), b.values(info.name)
    comparison = regression(before, after, name=name, margin=margin, higher_is_better=info.higher_is_better)
    lost = [
        seed for seed, value in before.items() if math.isfinite(value) and seed in after and not math.isfinite(after[seed])
    ]
    x, y = a.first.params, b.first.params
    row = {
        "name": name,
        "variant": a.variant,
        "preset": a.first.preset,
        "seeds_a": a.seeds,
        "seeds_b": b.seeds,
        "mean_a": _mean(comparison.baseline),
        "mean_b": _mean(comparison.treated),
        "difference": None if comparison.excluded else comparison.mean,
        "low": comparison.low,
        "high": comparison.high,
        "p": comparison.p,
        "method": comparison.method,
        "lost_seeds": lost,
        "time_ratio": b.time_ratio(a),
        "parameters_a": x if math.isfinite(x) else None,
        "parameters_b": y if math.isfinite(y) else None,
    }
    return row, comparison


def _mean(side: Estimate | None) -> float | None:
    """None where a seed has no finite value: a mean of the others would mislead."""
    return None if side is None or side.excluded else side.mean


def _adjust(compared: Sequence[tuple[dict[str, Any], Comparison]], info: Metric | MetricInfo) -> list[dict[str, Any]]:
    """Verdicts that hold over all rows together: unadjusted, one false alarm among twenty rows would be the rule."""
    pending = [replace(one, verdict=PENDING) if one.p is not None else one for _, one in compared]
    settled = settle(pending, ALPHA, info.higher_is_better)
    rows = []
    for (row, _), one in zip(compared, settled, strict=True):
        verdict, regressed = one.verdict.words, bool(row["lost_seeds"]) or one.verdict.kind is Kind.HURTS
        if row["lost_seeds"]:
            verdict = f"regressed: {info.title} is no longer finite for seed {listed(row['lost_seeds'])}"
        elif one.verdict.kind in (Kind.HELPS, Kind.HURTS):
            verdict = verdict.replace("hurts", "regressed", 1).replace("helps", "improved", 1)
        found = (
            one.document()
            | (dict.fromkeys(("low", "high")) if one.excluded else {})
            | {"kind": one.verdict.kind.value, "verdict": verdict, "regressed": regressed}
        )
        rows.append(row | {name: found[name] for name in ("low", "high", "kind", "verdict", "regressed", "seeds_needed")})
        rows[-1] |= {
            "p": one.p,
            "p_adjusted": one.p_adjusted,
            "undecided": one.verdict.kind in (Kind.UNDECIDED, Kind.FAILED),
        }
    return rows


def _lines(document: Mapping[str, Any]) -> list[str]:
    lines = []
    for row in sorted(document["rows"], key=lambda row: not row["regressed"]):
        a, b = (f"{row[side]:.4f}" if row[side] is not None else "not finite" for side in ("mean_a", "mean_b"))
        interval = "" if row["low"] is None else f" [{row['low']:+.4f}, {row['high']:+.4f}]"
        change = "" if row["difference"] is None else f" ({row['difference']:+.4f}{interval})"
        time = "" if row["time_ratio"] is None else f", {row['time_ratio']:.2f}x time"
        size = "" if row["parameters_a"] == row["parameters_b"] else ", other parameters"
        lines.append(f"{row['name']}: {document['title']} {a} -> {b}{change}{time}{size}: {row['verdict']}")
    for key, words in (("removed", "only in A"), ("added", "only in B")):
        lines += [f"{words}: {row['name']}, preset {shorten(row['preset'], 60)}" for row in document[key]]
    seen = dict.fromkeys(f"not comparable: {row['name']}: {row['reason']}" for row in document["not_comparable"])
    lines += list(seen)
    cut = len(lines) - _MOST_LINES
    if cut > 0:
        lines = [*lines[:_MOST_LINES], f"and {cut} more lines (--json has all)"]
    count = sum(row["regressed"] for row in document["rows"])
    total = len(document["rows"])
    rows = counted(total, "comparable row")
    open_ = sum(row["undecided"] for row in document["rows"])
    lines.append(
        f"{count} of {rows} regressed"
        if count
        else f"undecided: {open_} of {rows}; none is known to have regressed"
        if open_
        else f"no regression: {rows} equivalent within {document['margin']:g}, or better"
    )
    return lines
