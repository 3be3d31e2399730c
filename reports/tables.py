"""The report's tables: measured figures in measured columns, claims of sources in columns of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evaluation.conventions import METRICS
from harness.variant import Claim, Variants
from reports import analysis
from reports.analysis import Factorial, Group, Method, shorten
from reports.page import Table, Value
from reports.records import RunRecord, Trouble
from reports.statistics import MINIMUM_SEEDS, Comparison, Estimate, Kind, Values, compare_unpaired

NONE = "-"
"""A figure that does not exist."""
BASELINE_TITLES = {"blank": "blank frame", "repeat_last": "repeat last frame"}
NAME_LENGTH = 200
"""Longer names are cut in tables, with their length said."""
DECIMALS = {name: 4 if info.unit == "" else 2 for name, info in METRICS.items()}
ARTICLE_LOSSES = {"MSE": "~0.78", "SSIM": "~0.83", "MSE + SSIM": "0.85+"}
"""The SSIM that the article states for its losses (section 3)."""
ARTICLE_TOGETHER = "0.87"
"""The SSIM that the article states for all its ideas together (section 5)."""
ARTICLE = "article"


@dataclass(frozen=True)
class Claims:
    """What the sources of a row's variant state. Shown beside the measured figures, never in their place."""

    parameters: str = NONE
    relative_time: str = NONE
    ssim: str = NONE


def claims(variant: str, variants: Variants) -> Claims:
    """The claims for a row; '-' where the sources state none, or the plugin is not installed."""
    found = _installed(variant, variants)
    if found is not None and len(found) == 1:
        claim = found[0]
        return Claims(claim.parameters or NONE, claim.relative_time or NONE, claim.ssim or NONE)
    together = {
        plugin.name
        for plugin in variants
        if plugin.error is None
        and plugin.value.changes
        and plugin.value.claim.ssim
        and plugin.value.source.startswith(ARTICLE)
    }
    if len(together) > 1 and together <= set(variant.split("+")):
        return Claims(ssim=ARTICLE_TOGETHER)
    return Claims()


def _installed(variant: str, variants: Variants) -> list[Claim] | None:
    names = variant.split("+")
    if not all(name in variants.names for name in names):
        return None
    plugins = [variants.plugin(name) for name in names]
    return None if any(plugin.error for plugin in plugins) else [plugin.value.claim for plugin in plugins]


# --- cells


def text(content: str) -> Value:
    """A cell of words."""
    return Value(content)


def name(content: str) -> Value:
    """A cell with a name from a record, which may be of any length."""
    return Value(shorten(content, NAME_LENGTH))


def figure(value: float | None, decimals: int, *, sign: bool = False, suffix: str = "") -> Value:
    """A cell with a number; '-' without one."""
    if value is None or not math.isfinite(value):
        return Value(NONE)
    return Value(f"{_decimal(value, decimals, sign)}{suffix}", value)


def _decimal(value: float, decimals: int, sign: bool) -> str:
    rounded = round(value, decimals) or 0.0  # no minus before a zero
    return f"{rounded:{'+' if sign and rounded else ''},.{decimals}f}"


def significant(value: float | None, digits: int = 3) -> Value:
    """A cell with a number of about `digits` significant digits, written without an exponent."""
    if value is None or not math.isfinite(value):
        return Value(NONE)
    if value == 0:
        return Value("0", 0.0)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return Value(f"{value:,.{min(decimals, 12)}f}", value)


def interval(low: float | None, high: float | None, decimals: int, *, sign: bool = False) -> Value:
    """A cell with an interval, sorted by its lower end."""
    if low is None or high is None:
        return Value(NONE)
    return Value(f"[{_decimal(low, decimals, sign)}, {_decimal(high, decimals, sign)}]", low)


def probability(p: float | None) -> Value:
    """A cell with a p value."""
    if p is None:
        return Value(NONE)
    return Value("<0.001" if p < 0.001 else f"{p:.3f}", p)


def mean(estimate: Estimate, decimals: int) -> Value:
    """A cell with a mean over seeds. A seed without a finite value is named instead: a mean of the others would mislead."""
    if estimate.excluded:
        return Value(f"not finite (seed {', '.join(map(str, estimate.excluded))})")
    return figure(estimate.mean, decimals)


def spread(estimate: Estimate, decimals: int) -> Value:
    """A cell with the interval of a mean over seeds."""
    return Value(NONE) if estimate.excluded else interval(estimate.low, estimate.high, decimals)


def table(
    id_: str, title: str, columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[Value]], note: str = ""
) -> Table:
    """A table from (heading, whether it holds figures) and rows."""
    return Table(
        id_,
        title,
        tuple(heading for heading, _ in columns),
        tuple(map(tuple, rows)),
        tuple(kind for _, kind in columns),
        note,
    )


def millions(value: float) -> Value:
    """Parameters in millions, or the plain number when it is small."""
    if not math.isfinite(value):
        return Value(NONE)
    return Value(f"{value / 1e6:.2f}M" if value >= 1e5 else f"{value:,.0f}", value)


# --- the tables


def ablation(group: Group, variants: Variants, id_: str, title: str) -> Table:
    """The article's ablation table, measured."""
    columns = [
        ("method", False),
        ("parameters", True),
        ("training time (x base)", True),
        ("SSIM, mean", True),
        ("SSIM, 95% interval", True),
        ("gain over base (SSIM)", True),
        ("gain, 95% interval", True),
        ("p (Holm)", True),
        ("verdict", False),
        ("seeds", True),
        ("claimed parameters", False),
        ("claimed time", False),
        ("claimed SSIM", False),
    ]
    rows = []
    for method in group.methods:
        estimate, claim = method.estimate(), claims(method.variant, variants)
        comparison = group.comparisons.get(method.label)
        rows.append(
            [
                name(method.label),
                millions(method.first.params),
                figure(group.time_ratio(method), 2, suffix="x"),
                mean(estimate, 4),
                spread(estimate, 4),
                *_gain(comparison),
                text("reference" if method is group.reference else short_verdict(comparison, estimate)),
                Value(str(len(method.seeds)), len(method.seeds)),
                *(text(one) for one in (claim.parameters, claim.relative_time, claim.ssim)),
            ]
        )
    for key, words in BASELINE_TITLES.items():
        ssim = group.baseline(key).get("ssim")
        blank = [Value(NONE)] * 4
        rows.append(
            [
                text(words),
                Value("0", 0.0),
                Value(NONE),
                figure(ssim, 4),
                *blank,
                text("baseline"),
                *[Value(NONE)] * 4,
            ]
        )
    # What decides comes first, so that a desktop shows it without scrolling: intervals and claims follow.
    order = (0, 1, 2, 3, 5, 8, 4, 6, 7, 9, 10, 11, 12)
    columns, rows = [columns[k] for k in order], [[row[k] for k in order] for row in rows]
    return table(id_, title, columns, rows, _ablation_note(group))


def _gain(comparison: Comparison | None) -> list[Value]:
    if comparison is None or comparison.excluded:
        return [Value(NONE)] * 3
    gain = figure(comparison.mean, 4, sign=True)
    return [gain, interval(comparison.low, comparison.high, 4, sign=True), probability(comparison.p_adjusted)]


def verdict(comparison: Comparison | None, estimate: Estimate) -> str:
    """The verdict in words; without a reference there is none."""
    if comparison is not None:
        return comparison.verdict.words
    if estimate.n < MINIMUM_SEEDS:
        return f"no verdict: {estimate.n} seed{'' if estimate.n == 1 else 's'}, no base to compare with"
    return "no verdict: no base to compare with"


def short_verdict(comparison: Comparison | None, estimate: Estimate) -> str:
    """The verdict where room is short: 'not enough seeds (3 of about 28)'; the statistics' table has the whole sentence."""
    if comparison is None or comparison.verdict.kind is not Kind.NOT_ENOUGH:
        return verdict(comparison, estimate)
    needed = comparison.verdict.seeds_needed
    return f"not enough seeds ({comparison.n}{f' of about {needed}' if needed else ''})"


def _ablation_note(group: Group) -> str:
    parts = [
        f"Test SSIM ({METRICS['ssim'].convention}). Baselines have no training and no seeds. "
        "Gain: mean over common seeds of SSIM minus base's SSIM at the same seed; "
        f"margin of the verdicts: {group.margin:g} SSIM.",
        "Training time: mean over common seeds of the ratio of seconds of training, first steps and validation not counted.",
        "Claimed columns are what the variants' sources state for their own setting; nothing in them was measured here.",
    ]
    mixed = analysis.devices(group.runs)
    if len(mixed) > 1:
        parts.append(
            f"The runs come from {len(mixed)} devices ({'; '.join(map(shorten, mixed))}): times are not comparable."
        )
    return " ".join(parts)


def metrics(group: Group, id_: str, title: str) -> Table:
    """Every metric of every method: mean over seeds and interval."""
    columns = [("method", False)]
    for info in METRICS.values():
        arrow = "higher is better" if info.higher_is_better else "lower is better"
        unit = {"dB": "dB, "}.get(info.unit, "per frame, " if info.unit else "")
        columns += [(f"{info.title} ({unit}{arrow})", True), (f"{info.title}, 95% interval", True)]
    rows = []
    for method in group.methods:
        row = [name(method.label)]
        for metric in METRICS:
            estimate = method.estimate(metric)
            row += [mean(estimate, DECIMALS[metric]), spread(estimate, DECIMALS[metric])]
        rows.append(row)
    for key, words in BASELINE_TITLES.items():
        row = [text(words)]
        for metric in METRICS:
            row += [figure(group.baseline(key).get(metric), DECIMALS[metric]), Value(NONE)]
        rows.append(row)
    return table(id_, title, columns, rows, "How each metric is computed is said below, under 'How it was done'.")


GIB = 2**30


def costs(group: Group, id_: str, title: str) -> Table:
    """What each method costs: means over seeds, with the interval of the training time."""
    columns = [
        ("method", False),
        ("parameters", True),
        ("GFLOP a sequence", True),
        ("training time (s)", True),
        ("training time, 95% interval (s)", True),
        ("training time (x base)", True),
        ("steps", True),
        ("training sequences/s", True),
        ("predicted frames/s", True),
        ("predicted frames/s, batch 1", True),
        ("GPU memory, allocated (GiB)", True),
        ("GPU memory, reserved (GiB)", True),
        ("process memory (GiB)", True),
    ]
    rows = []
    for method in group.methods:
        seconds = method.estimate_number("seconds")
        digits = _decimals(seconds.mean)
        rows.append(
            [
                name(method.label),
                Value(f"{method.first.params:,.0f}", method.first.params)
                if math.isfinite(method.first.params)
                else Value(NONE),
                significant(method.first.flops / 1e9),
                mean(seconds, digits),
                spread(seconds, digits),
                figure(group.time_ratio(method), 2, suffix="x"),
                _mean_number(method, "steps"),
                _mean_number(method, "sequences_per_second"),
                _mean_number(method, "frames_per_second"),
                _mean_number(method, "frames_per_second_1"),
                *(_mean_number(method, one, 1 / GIB) for one in ("gpu_allocated", "gpu_reserved", "host_peak")),
            ]
        )
    batches = sorted({run.batch_size for run in group.runs if math.isfinite(run.batch_size)})
    note = (
        "Means over seeds. FLOP: two a multiply-add of convolutions and matrix products, to predict one sequence with all its "
        f"views. Predicted frames/s at batch {', '.join(f'{batch:g}' for batch in batches) or NONE}, and at batch 1. Memory: "
        "largest so far in the training's process; reserved is what the allocator took from the GPU."
    )
    return table(id_, title, *_without_empty(columns, rows), note)


def _without_empty(
    columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[Value]]
) -> tuple[list[tuple[str, bool]], list[list[Value]]]:
    """Without the columns in which no row has a figure, such as the memory of a GPU that nobody used."""
    kept = [index for index in range(len(columns)) if any(row[index].text != NONE for row in rows)]
    return [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _mean_number(method: Method, attribute: str, factor: float = 1.0) -> Value:
    values = [value * factor for value in method.numbers(attribute).values()]
    if any(math.isnan(value) for value in values):  # not measured, in one seed at least
        return Value(NONE)
    value = math.fsum(values) / len(values)
    return figure(value, 0) if attribute == "steps" else significant(value)


def _decimals(value: float | None) -> int:
    """Decimals that show about four significant digits."""
    return 0 if not value or not math.isfinite(value) else min(6, max(0, 3 - math.floor(math.log10(abs(value)))))


def seeds(group: Group, id_: str, title: str) -> Table:
    """Every run: all metrics and costs."""
    columns = [("method", False), ("seed", True), ("run", False)]
    columns += [(info.title, True) for info in METRICS.values()]
    columns += [
        ("validation SSIM", True),
        ("steps", True),
        ("best step", True),
        ("skipped steps", True),
        ("training time (s)", True),
        ("training sequences/s", True),
        ("predicted frames/s", True),
        ("GPU memory, reserved (GiB)", True),
        ("process memory (GiB)", True),
    ]
    rows = []
    for method in group.methods:
        for seed in method.seeds:
            run = method.runs[seed]
            rows.append(
                [
                    name(method.label),
                    Value(str(seed), seed),
                    text(run.run_id),
                    *(_measured(run, metric) for metric in METRICS),
                    figure(run.validation_ssim, 4),
                    *(figure(value, 0) for value in (run.steps, run.best_step, run.skipped_steps)),
                    figure(run.seconds, _decimals(run.seconds)),
                    significant(run.sequences_per_second),
                    significant(run.frames_per_second),
                    significant(run.gpu_reserved / GIB),
                    significant(run.host_peak / GIB),
                ]
            )
    return table(id_, title, *_without_empty(columns, rows), "The raw records of the tables above, one run a row.")


def _measured(run: RunRecord, metric: str) -> Value:
    value = run.metric(metric)
    return figure(value, DECIMALS[metric]) if math.isfinite(value) else Value("not finite")


def statistics(group: Group, id_: str, title: str) -> Table:
    """Every comparison in full."""
    columns = [
        ("comparison", False),
        ("pairs", True),
        ("mean difference (SSIM)", True),
        ("95% interval", True),
        ("verdict", False),
        ("sd of differences", True),
        ("p (paired t)", True),
        ("p (Holm)", True),
        ("p (equivalence, Holm)", True),
        ("seeds better / worse", False),
        ("p (sign test)", True),
        ("median difference", True),
        ("median, at least 95%", True),
    ]
    rows = []
    for label, one in group.comparisons.items():
        rows.append(
            [
                name(f"{label} - {group.reference.label if group.reference else 'base'}"),
                Value(str(one.n), one.n),
                figure(one.mean, 4, sign=True),
                interval(one.low, one.high, 4, sign=True),
                text(_with_seeds(one)),
                figure(one.sd, 4),
                probability(one.p),
                probability(one.p_adjusted),
                probability(one.p_equivalence_adjusted),
                text(NONE if one.better is None else f"{one.better} / {one.worse}"),
                probability(one.p_sign),
                figure(one.median, 4, sign=True),
                interval(one.median_low, one.median_high, 4, sign=True),
            ]
        )
    note = "The 95% intervals are for one comparison alone; p (Holm) is adjusted for all comparisons of this table."
    return table(id_, title, columns, rows, note)


def _with_seeds(comparison: Comparison) -> str:
    extra = []
    if comparison.unpaired:
        extra.append(f"seeds that only one side has: {_listed(comparison.unpaired)}")
    if comparison.excluded:
        extra.append(f"seeds without a finite value: {_listed(comparison.excluded)}")
    return comparison.verdict.words + (f" ({'; '.join(extra)})" if extra else "")


def _listed(numbers: Sequence[int], most: int = 12) -> str:
    return ", ".join(map(str, numbers[:most])) + (f" and {len(numbers) - most} more" if len(numbers) > most else "")


def pairs(group: Group, id_: str, title: str) -> Table:
    """Every seed's paired difference."""
    columns = [("method", False), ("seed", True), ("base's SSIM", True), ("SSIM", True), ("difference", True)]
    rows = []
    if group.reference is not None:
        base = group.reference.values()
        for method in group.others:
            for seed, value in method.values().items():
                if seed in base:
                    rows.append(
                        [
                            name(method.label),
                            Value(str(seed), seed),
                            figure(base[seed], 4),
                            figure(value, 4),
                            figure(value - base[seed], 4, sign=True),
                        ]
                    )
    return table(id_, title, columns, rows, "Seeds that both have. '-' stands for a value that is not finite.")


def effects(factorial: Factorial, id_: str, title: str) -> Table:
    """Main effects and pairwise interactions."""
    columns = [
        ("effect", False),
        ("kind", False),
        ("seeds", True),
        ("mean (SSIM)", True),
        ("95% interval", True),
        ("p (Holm)", True),
        ("verdict", False),
    ]
    rows = []
    for effect in factorial.effects:
        one = effect.comparison
        rows.append(
            [
                name(one.name),
                text("main effect" if len(effect.factors) == 1 else "interaction"),
                Value(str(one.n), one.n),
                figure(one.mean, 4, sign=True),
                interval(one.low, one.high, 4, sign=True),
                probability(one.p_adjusted),
                text(_with_seeds(one)),
            ]
        )
    note = (
        "Main effect: SSIM with the variant minus SSIM without it, averaged over all settings of the others. Interaction of A "
        "and B: what A adds in the presence of B minus what it adds without B; above zero, both together are better than the "
        "sum of what each adds. Holm-adjusted over all effects of this table."
    )
    return table(id_, title, columns, rows, note)


def losses(group: Group, id_: str, title: str) -> Table:
    """The article's loss table, measured: base with other loss weights."""
    columns = [*_variation_columns("loss", "kind"), ("claimed SSIM", False)]
    rows = []
    for method in group.methods:
        kind = analysis.loss_kind(method.first.settings)
        rows.append([*_variation(group, method, kind), text(ARTICLE_LOSSES.get(kind, NONE))])
    note = (
        "Runs of base that differ from the first table's base in the loss alone. Gain: over the loss of the first row, paired "
        "by seed. The claims are the article's (section 3), for its own setting; nothing in that column was measured here."
    )
    return table(id_, title, columns, rows, note)


def rates(group: Group, id_: str, title: str) -> Table:
    """Base with other learning rates, schedules, weight decays and batch sizes."""
    rows = [_variation(group, method, None) for method in group.methods]
    note = (
        "Runs of base that differ from the first table's base in these settings alone. Gain: over the first row, paired by "
        "seed. To choose a setting, look at the validation SSIM: the test sequences are for the final comparison."
    )
    return table(id_, title, _variation_columns("setting", None), rows, note)


def _variation_columns(first: str, second: str | None) -> list[tuple[str, bool]]:
    return [
        (first, False),
        *([(second, False)] if second else []),
        ("seeds", True),
        ("validation SSIM, mean", True),
        ("SSIM, mean", True),
        ("gain (SSIM)", True),
        ("verdict", False),
        ("SSIM, 95% interval", True),
        ("gain, 95% interval", True),
        ("p (Holm)", True),
        ("MSE, mean", True),
    ]


def _variation(group: Group, method: Method, kind: str | None) -> list[Value]:
    estimate, validation = method.estimate(), method.estimate_number("validation_ssim")
    comparison = group.comparisons.get(method.label)
    gain, gain_interval, p = _gain(comparison)
    return [
        name(method.label),
        *([text(kind)] if kind else []),
        Value(str(len(method.seeds)), len(method.seeds)),
        mean(validation, 4),
        mean(estimate, 4),
        gain,
        text("reference" if method is group.methods[0] else short_verdict(comparison, estimate)),
        spread(estimate, 4),
        gain_interval,
        p,
        mean(method.estimate("mse"), 2),
    ]


def rest(groups: Sequence[Group], main: Group, id_: str, title: str) -> Table:
    """Rows that stand alone: finished runs that no other run may be compared with."""
    columns = [
        ("method", False),
        ("what differs from the first table", False),
        ("seeds", True),
        ("SSIM, mean", True),
        ("SSIM, 95% interval", True),
        ("MSE, mean", True),
    ]
    rows = []
    for group in groups:
        for method in group.methods:
            estimate = method.estimate()
            rows.append(
                [
                    name(method.label),
                    text(analysis.difference_title(main, group)),
                    Value(str(len(method.seeds)), len(method.seeds)),
                    mean(estimate, 4),
                    spread(estimate, 4),
                    mean(method.estimate("mse"), 2),
                ]
            )
    return table(id_, title, columns, rows, "Each row has settings or data of its own; do not compare them with each other.")


def copies(arms: Mapping[str, tuple[Values, Values]], margin: float, id_: str, title: str) -> tuple[Table, list[Comparison]]:
    """A/A plans: base against a renamed copy of itself with other seeds, by Welch's test."""
    columns = [
        ("plan", False),
        ("seeds, base", True),
        ("seeds, copy", True),
        ("SSIM of base, mean", True),
        ("SSIM of copy, mean", True),
        ("difference", True),
        ("95% interval", True),
        ("p", True),
        ("verdict", False),
    ]
    rows, found = [], []
    for label, (base, copy) in arms.items():
        one = compare_unpaired(base, copy, name=label, margin=margin)
        found.append(one)
        assert one.baseline is not None
        assert one.treated is not None
        rows.append(
            [
                name(label),
                Value(str(len(base)), len(base)),
                Value(str(len(copy)), len(copy)),
                mean(one.baseline, 4),
                mean(one.treated, 4),
                *_gain(one),
                text(f"{one.verdict.words}{' - a false alarm' if one.verdict.kind in (Kind.HELPS, Kind.HURTS) else ''}"),
            ]
        )
    note = "Both arms are base; their seeds differ. At 5%, one such table in twenty raises a false alarm."
    return table(id_, title, columns, rows, note), found


def troubles(found: Sequence[Trouble], id_: str, title: str) -> Table:
    """What failed, is unfinished or damaged."""
    columns = [("run", False), ("variant", False), ("seed", True), ("status", False), ("reason", False)]
    rows = [
        [
            text(shorten(one.where)),
            name(one.variant or NONE),
            Value(NONE) if one.seed is None else Value(str(one.seed), one.seed),
            text(one.status),
            text(shorten(one.reason, 600)),
        ]
        for one in found
    ]
    return table(id_, title, columns, rows)


def conventions(id_: str, title: str, recorded: Mapping[str, str]) -> Table:
    """What each metric means, as the runs recorded it."""
    columns = [("metric", False), ("better", False), ("range", False), ("unit", False), ("what is computed", False)]
    rows = []
    for info in METRICS.values():
        highest = NONE if info.highest is None else f"{info.highest:g}"
        rows.append(
            [
                text(info.title),
                text(info.direction),
                text(f"{info.lowest:g} to {highest}" if info.highest is not None else f"from {info.lowest:g}"),
                text(info.unit or "none"),
                text(recorded.get(info.name, info.convention)),
            ]
        )
    return table(id_, title, columns, rows, f"All metrics: {recorded.get('values', NONE)}.")


def sources(names: Sequence[str], variants: Variants, id_: str, title: str) -> Table:
    """How to cite the variants that were used."""
    columns = [("variant", False), ("what it does", False), ("source", False), ("cite", False)]
    rows = []
    for one in names:
        plugin = variants.plugin(one) if one in variants.names else None
        if plugin is None or plugin.error is not None:
            why = "its plugin is not installed" if plugin is None else f"its plugin failed to load: {plugin.error}"
            rows.append([name(one), text(why), text(NONE), text(NONE)])
        else:
            value = plugin.value
            rows.append([name(one), text(value.summary), text(value.source), text(value.citation or value.source)])
    return table(id_, title, columns, rows)
