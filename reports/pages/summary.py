"""The report in plain words: which idea helps, what keeps one from being sure, and the setting of the first table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.ablation.plan import REFERENCE
from harness.variant import Variants
from reports import cells
from reports.analysis import settings
from reports.analysis.commands import known_preset, plan_command
from reports.analysis.comparisons import Comparison
from reports.analysis.costs import cost_words
from reports.analysis.groups import Group, Method, difference_title
from reports.analysis.overview import Analysis
from reports.analysis.power import MINIMUM_SEEDS
from reports.analysis.records import Records, Trouble
from reports.analysis.secondary import title_of
from reports.analysis.words import MOST_LISTED, counted, distinct, listed, names_in, number, shorten
from reports.pages.answer import Row, rows_of

MOST_SENTENCES = 10


def summary(main: Group, matched: Sequence[Group] = ()) -> list[str]:
    """Which idea helps, by how much, at what cost, and how sure that is."""
    lines = [_reference_sentence(main)]
    asked = rows_of(main)
    if any(row.reference is not main.reference for row in asked):  # leave-one-out: against the whole, not against base
        said, there = [_contrast_sentence(main, row) for row in asked[:MOST_SENTENCES]], len(asked)
    else:
        rows = main.others
        if len(rows) > MOST_SENTENCES:
            single = [method for method in rows if "+" not in method.variant]
            largest = sorted((m for m in rows if "+" in m.variant), key=lambda m: -m.variant.count("+"))[:1]
            rows = [*single[: MOST_SENTENCES - len(largest)], *largest]
        said, there = [sentence(main, method) for method in rows], len(main.others)
    lines += said
    if len(said) < there:
        lines.append(f"{there - len(said)} further methods are in the table below.")
    for group in matched:
        parts = [
            f"{_name(method)} {_gain(one, title_of(group))}: {one.verdict.words}"
            for method in group.others
            if (one := group.comparisons.get(method.label)) is not None
        ]
        if parts:
            lines.append(f"At {group.equal}: {'; '.join(parts[:MOST_SENTENCES])}.")
    return lines


def sentence(group: Group, method: Method) -> str:
    """One method in one sentence: 'attention: +0.0120 SSIM [+0.0040, +0.0200] over base, 1.20x training time, 5 seeds: helps.'"""
    name = shorten(method.label, 80)
    comparison = group.comparisons.get(method.label)
    seeds = counted(len(method.seeds), "seed")
    if comparison is None:
        mean = cells.mean(method.estimate(group.metric), 4).text
        return f"{name}: {title_of(group)} {mean}, {seeds}; there is no base to compare it with."
    costs = filter(None, [cost_words(group.reference, method)])
    if comparison.unpaired:
        seeds = counted(comparison.n, "common seed")
    return (
        f"{name}: {_gain(comparison, title_of(group))} over base, {', '.join([*costs, seeds])}: {comparison.verdict.words}."
    )


def _contrast_sentence(group: Group, row: Row) -> str:
    """'tta with the others: +0.0125 SSIM [...] over attention+curriculum, 4.00x inference, 3 seeds: helps.'"""
    costs = [cost_words(row.reference, row.method)] if row.reference and row.method else []
    against = f" over {_name(row.reference)}" if row.reference else ""
    seeds = counted(row.comparison.n, "seed")
    return (
        f"{shorten(row.name, 80)}: {_gain(row.comparison, title_of(group))}{against}, "
        f"{', '.join([*filter(None, costs), seeds])}: {row.comparison.verdict.words}."
    )


def _name(method: Method) -> str:
    return shorten(method.label, 60)


def _gain(comparison: Comparison, metric: str) -> str:
    shown = [cells.difference(comparison).text, cells.difference_interval(comparison).text]
    if shown[0] == cells.NONE:
        return f"no {metric} difference"
    return f"{shown[0]} {metric}" + ("" if shown[1] == cells.NONE else f" {shown[1]}")


def _reference_sentence(group: Group) -> str:
    blank, repeat = (_plain(group.baseline(name).get("ssim", math.nan)) for name in ("blank", "repeat_last"))
    baselines = f"a blank frame scores {blank}, the last frame repeated {repeat}"
    for name, words in group.baselines.items():
        if name not in ("blank", "repeat_last"):
            baselines += f", {words} {_plain(group.baseline(name).get('ssim', math.nan))}"
    if group.reference is None:
        return f"There is no finished run of {REFERENCE} with these settings, so nothing can be compared; {baselines}."
    estimate = group.reference.estimate()
    interval = cells.spread(estimate, 4).text
    shown = "" if interval == cells.NONE else f" {interval}"
    return (
        f"{shorten(group.reference.label, 80)} reaches SSIM {cells.mean(estimate, 4).text}{shown} over "
        f"{counted(len(group.reference.seeds), 'seed')} ({group.title}); {baselines}."
    )


def _plain(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "no finite SSIM"


def facts(main: Group) -> dict[str, str]:
    """The setting of the first table: label -> text."""
    used = main.first.settings
    preset = known_preset(main.first.preset)
    return {
        "Preset": f"{shorten(main.first.preset)}{f': {preset}' if preset else ' (not installed)'}",
        "Budget": f"{main.budget}, batch {number(used.get(settings.BATCH))}",
        "Precision": main.precision,
        "Loss": settings.loss_words(used),
        "Seeds": listed(main.seeds)
        + (f" (as needed: {main.decided.rule.most} at most)" if main.decided is not None else ""),
        "Runs": f"{len(main.runs)} in the first table",
        "Device": "; ".join(map(shorten, main.devices)),
        "Test set": f"{main.first.test_digest[:16]}, "
        f"{main.first.digits.get('test') or number(used.get(settings.TEST_SEQUENCES))} sequences",
        "Versions": "; ".join(distinct(f"torch {run.facts['torch']}" for run in main.runs if "torch" in run.facts))
        or "not recorded",
        "Margin": f"{main.margin:g} {title_of(main)}",
    }


def warnings(result: Analysis, found: Records, missing: Sequence[Trouble], variants: Variants) -> list[str]:
    """What is missing, mixed, or too weak to say much."""
    main = result.groups[0]
    lines = list(result.warnings)
    if missing:
        lines.append(f"{len(missing)} planned cells are missing; see 'What is missing'.")
    for status in ("failed", "unfinished", "damaged"):
        if named := [one for one in found.troubles if one.status == status]:
            shown = "; ".join(f"{shorten(one.where, 60)}: {shorten(one.reason, 160)}" for one in named[:3])
            more = "; ..." if len(named) > 3 else ""
            lines.append(f"{counted(len(named), f'{status} record')} left out ({shown}{more}).")
    if main.reference is None:
        lines.append(
            f"no finished run of {REFERENCE} has the settings of these runs, so no gain can be given: "
            f"`{plan_command(main, REFERENCE)}`"
        )
    for group in (*result.groups, *result.matched):
        if len(group.devices) > 1:
            names = "; ".join(shorten(one, 80) for one in group.devices)
            lines.append(f"{_group_name(group, main)} mixes devices ({names}): its times are not comparable.")
    lines += _weak(main)
    if "mean nothing" in (preset := known_preset(main.first.preset)):
        lines.append(f"preset {main.first.preset}: {preset}.")
    ours = [run for run in found.runs if not run.scored]
    parts = sorted({part for run in ours for part in names_in(run.variant)} - set(variants.names))
    if parts:
        names = ", ".join(shorten(name, 60) for name in parts[:MOST_LISTED])
        lines.append(
            f"plugins that are not installed made some of these runs ({names}); their claims and sources are not known here."
        )
    return distinct(lines)


def _weak(main: Group) -> list[str]:
    """What keeps the main table from saying much: few seeds, methods below a blank frame, numbers that are not finite."""
    lines = []
    fewest = min(len(method.seeds) for method in main.methods)
    if fewest < MINIMUM_SEEDS:
        which = [_name(method) for method in main.methods if len(method.seeds) == fewest]
        have = "has" if len(which) == 1 else "have"
        lines.append(f"no verdict from fewer than {MINIMUM_SEEDS} seeds; {', '.join(which[:6])} {have} {fewest}")
    blank = main.baseline("blank").get("ssim", math.nan)
    below = []
    for method in main.methods:
        estimate = method.estimate()
        if estimate.excluded:
            lines.append(
                f"{_name(method)}: the test SSIM of seed {listed(estimate.excluded)} is missing or not finite; it has no mean"
            )
        elif estimate.mean is not None and estimate.mean <= blank:
            below.append(f"{_name(method)} ({estimate.mean:.4f})")
    if below:
        more = f" and {len(below) - MOST_SENTENCES} more" if len(below) > MOST_SENTENCES else ""
        shown = ", ".join(below[:MOST_SENTENCES]) + more
        lines.append(f"no better than a blank frame ({blank:.4f}), so this metric shows nothing learnt: {shown}")
    if main.reference is not None:
        unshared: dict[str, list[str]] = {}
        judged = {one.arm for one in main.decided.decisions} if main.decided is not None else set()
        for method in main.others:
            if method.label not in judged and (odd := sorted({*main.reference.seeds} ^ {*method.seeds})):
                unshared.setdefault(listed(odd), []).append(_name(method))
        for seeds, methods in unshared.items():
            lines.append(
                f"{', '.join(methods[:MOST_SENTENCES])} and {_name(main.reference)} do not share seeds {seeds}: "
                "gains are over common seeds, means over all of a row's seeds"
            )
    return lines


def _group_name(group: Group, main: Group) -> str:
    if group is main:
        return "the first table"
    if group.match != "steps":
        return f"the table of {group.equal}"
    return f"the table with {difference_title(main, group)}"
