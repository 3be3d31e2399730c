"""Tables of where results come from and what is missing: conventions, sources, versions, failed and missing cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.evaluation.conventions import METRICS
from harness.evaluation.metrics import Metric
from harness.variant import Variants
from reports import cells
from reports.analysis.records import BASELINES, MetricInfo, RunRecord, Trouble
from reports.analysis.words import MOST_LISTED, distinct, shorten
from reports.cells import NONE, Column, counts, names, table, words
from reports.page import Table


def troubles(found: Sequence[Trouble], id_: str, title: str) -> Table:
    """What failed, is unfinished or damaged."""
    columns: list[Column[Trouble]] = [
        words("run", lambda one: shorten(one.where)),
        names("variant", lambda one: one.variant or NONE),
        counts("seed", lambda one: one.seed),
        words("status", lambda one: one.status),
        words("reason", lambda one: shorten(one.reason, 600)),
    ]
    return table(id_, title, columns, found)


def left_out(found: Mapping[str, str], id_: str, title: str) -> Table:
    """Arms that plans could not have, each with the reason."""
    columns: list[Column[tuple[str, str]]] = [
        names("arm", lambda one: one[0]),
        words("reason", lambda one: shorten(one[1], 600)),
    ]
    return table(id_, title, columns, found.items())


def tuned(found: Mapping[str, Mapping[str, Any]], id_: str, title: str) -> Table:
    """The learning rates that plans tuned for their arms, with the trials that chose them."""

    def trials(one: Mapping[str, Any]) -> str:
        return ", ".join(
            f"{trial['rate']:g}: {trial['value']:.4g}" for trial in sorted(one["trials"], key=lambda t: t["rate"])
        )

    columns: list[Column[tuple[str, Mapping[str, Any]]]] = [
        names("arm", lambda one: one[0]),
        words("learning rate", lambda one: f"{one[1]['rate']:g}"),
        words("its own", lambda one: f"{one[1]['own']:g}"),
        counts("seed", lambda one: one[1]["seed"]),
        words("validation by rate", lambda one: shorten(trials(one[1]), 600)),
    ]
    note = "Each arm had as many trials, on a seed that no verdict uses; test sequences chose nothing."
    return table(id_, title, columns, found.items(), note)


def conventions(id_: str, title: str, run: RunRecord, more: Sequence[MetricInfo] = ()) -> Table:
    """What each metric means, as the runs recorded it, and what a prediction without a network scores: 0 is not nothing."""
    recorded = run.conventions

    def values(info: Metric | MetricInfo) -> str:
        return f"from {info.lowest:g}" if info.highest is None else f"{info.lowest:g} to {info.highest:g}"

    columns: list[Column[Metric | MetricInfo]] = [
        words("metric", lambda info: info.title),
        words("better", lambda info: info.direction),
        *(
            Column(words_, lambda info, key=key: cells.figure(run.baselines[key].get(info.name), 2 if info.unit else 4))  # type: ignore[misc]
            for key, words_ in BASELINES.items()
            if key in run.baselines
        ),
        words("range", values),
        words("unit", lambda info: info.unit or "none"),
        words("what is computed", lambda info: recorded.get(info.name, info.convention)),
    ]
    return table(id_, title, columns, [*METRICS.values(), *more], f"All metrics: {recorded.get('values', NONE)}.")


def sources(variant_names: Sequence[str], variants: Variants, id_: str, title: str) -> Table:
    """How to cite the variants that were used."""
    plugins = {one: variants.plugin(one) if one in variants.names else None for one in variant_names}

    def of(name: str, *attributes: str, missing: str = NONE) -> str:
        plugin = plugins[name]
        value: Any = None if plugin is None or plugin.error is not None else plugin.value
        return missing if value is None else next((str(getattr(value, a)) for a in attributes if getattr(value, a)), "")

    def why(name: str) -> str:
        plugin = plugins[name]
        return "its plugin is not installed" if plugin is None else f"its plugin failed to load: {plugin.error}"

    columns: list[Column[str]] = [
        names("variant", lambda name: name),
        words("what it does", lambda name: of(name, "summary", missing=why(name))),
        words("source", lambda name: of(name, "source")),
        words("cite", lambda name: of(name, "citation", "source")),
    ]
    return table(id_, title, columns, variant_names)


def versions(runs: Sequence[RunRecord], id_: str, title: str) -> Table:
    """Data, versions and devices of the runs."""
    facts = distinct(name for run in runs for name in run.facts if name not in ("git", "device"))
    rows = {
        "test set": [run.test_digest for run in runs],
        "digits": [f"{run.digits.get('source')}: {run.digits.get('digest')}" for run in runs],
        "training revision": [run.revision for run in runs],
        "metric conventions, version": [run.conventions.get("version", "?") for run in runs],
        "device": [run.device for run in runs],
        "code (git)": [run.facts.get("git", "not recorded") for run in runs],
        **{name: [run.facts.get(name, "not recorded") for run in runs] for name in facts},
    }
    columns: list[Column[tuple[str, list[str]]]] = [
        words("what", lambda row: row[0]),
        words("value", lambda row: "; ".join(map(shorten, distinct(row[1])[:MOST_LISTED]))),
    ]
    return table(id_, title, columns, rows.items())
