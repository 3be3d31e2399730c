"""Tables with a row for each method: measured figures in measured columns, claims of sources in columns of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from harness.evaluation.conventions import HEADLINE, METRICS
from harness.evaluation.metrics import Metric
from harness.variant import Claim, Variants
from reports import cells
from reports.analysis.comparisons import Comparison, compare
from reports.analysis.costs import COSTS, ratios
from reports.analysis.estimates import Estimate
from reports.analysis.groups import Group, Method, difference_title
from reports.analysis.power import MINIMUM_SEEDS
from reports.analysis.records import MetricInfo, RunRecord
from reports.analysis.secondary import metrics_of, title_of
from reports.analysis.settings import loss_kind
from reports.analysis.verdicts import Kind
from reports.analysis.words import counted, shorten
from reports.cells import NONE, Column, counts, names, table, words
from reports.page import Table, Value

_Info = Metric | MetricInfo


def _decimals(info: _Info) -> int:
    return 2 if info.unit else 4


ARTICLE_LOSSES = {"MSE": "~0.78", "SSIM": "~0.83", "MSE + SSIM": "0.85+"}
"""The SSIM that the article states for its losses (section 3)."""
ARTICLE_TOGETHER = "0.87"
"""The SSIM that the article states for all its ideas together (section 5)."""
ARTICLE = "article"
GIB = 2**30

METHOD: Column[Method] = names("method", lambda method: method.label)
SEEDS: Column[Method] = counts("seeds", lambda method: len(method.seeds))
SSIM_MEAN: Column[Method] = Column("SSIM, mean", lambda method: cells.mean(method.estimate(), 4))
SSIM_INTERVAL: Column[Method] = Column("SSIM, 95% interval", lambda method: cells.spread(method.estimate(), 4))
MSE_MEAN: Column[Method] = Column("MSE, mean", lambda method: cells.mean(method.estimate("mse"), 2))


def claim(variant: str, variants: Variants) -> Claim:
    """What the sources of a row's variant state: nothing where they are silent, or the plugin is not installed."""
    installed = {plugin.name: plugin.value for plugin in variants if plugin.error is None}
    if variant in installed:
        stated: Claim = installed[variant].claim
        return stated
    together = {name for name, one in installed.items() if one.changes and one.claim.ssim and one.source.startswith(ARTICLE)}
    whole = len(together) > 1 and together <= set(variant.split("+"))
    return Claim(ssim=ARTICLE_TOGETHER) if whole else Claim()


def verdict(comparison: Comparison | None, estimate: Estimate) -> str:
    """The verdict where room is short: 'undecided (3 of about 28 seeds)'; the statistics' table has the whole sentence."""
    if comparison is None:
        few = f"{counted(estimate.n, 'seed')}, " if estimate.n < MINIMUM_SEEDS else ""
        return f"undecided: {few}no base to compare with"
    if comparison.verdict.kind is not Kind.UNDECIDED:
        return comparison.verdict.words
    needed = comparison.verdict.seeds_needed
    of = f"{comparison.n} of about {needed} seeds" if needed else counted(comparison.n, "seed")
    return f"undecided ({of})"


def _compared(group: Group, of: Callable[[Comparison | None], Value]) -> Callable[[Method], Value]:
    return lambda method: of(group.comparisons.get(method.label))


def _verdicts(group: Group) -> Column[Method]:
    def of(method: Method) -> str:
        reference = method is group.reference
        return "reference" if reference else verdict(group.comparisons.get(method.label), method.estimate())

    return words("verdict", of)


def _failed(group: Group) -> list[dict[str, Value]]:
    """Arms of the plan of which no seed gave a result: they have no row of their own, and stay in the family."""
    there = {method.label for method in group.methods}
    return [
        {"method": Value(shorten(name)), "verdict": Value(one.verdict.words)}
        for name, one in group.comparisons.items()
        if name not in there
    ]


def _time_ratio(group: Group) -> Column[Method]:
    return Column("training time (x base)", lambda method: cells.figure(method.time_ratio(group.reference), 2, suffix="x"))


def ablation(group: Group, variants: Variants, id_: str, title: str) -> Table:
    """The article's ablation table, measured. What decides comes first, so that a desktop shows it without scrolling."""
    columns: list[Column[Method]] = [
        METHOD,
        Column("parameters", lambda method: cells.millions(method.first.params)),
        _time_ratio(group),
        SSIM_MEAN,
        Column(f"gain over base ({title_of(group)})", _compared(group, cells.difference)),
        _verdicts(group),
        SSIM_INTERVAL,
        Column("gain, adjusted interval", _compared(group, cells.difference_interval)),
        Column("p (Holm)", _compared(group, cells.adjusted)),
        SEEDS,
        words("claimed parameters", lambda method: claim(method.variant, variants).parameters or NONE),
        words("claimed time", lambda method: claim(method.variant, variants).relative_time or NONE),
        words("claimed SSIM", lambda method: claim(method.variant, variants).ssim or NONE),
    ]
    baselines = [
        {
            "method": Value(title_),
            "parameters": Value("0", 0.0),
            "SSIM, mean": cells.figure(group.baseline(key).get("ssim"), 4),
            "verdict": Value("baseline"),
        }
        for key, title_ in group.baselines.items()
    ]
    notes = [
        f"Test SSIM ({METRICS['ssim'].convention}). Baselines have no training and no seeds. "
        f"Gain: mean over common seeds of {title_of(group)} minus base's at the same seed; "
        f"margin of the verdicts: {group.margin:g} {title_of(group)}.",
        "Training time: geometric mean over common seeds of the ratio of seconds, first steps and validation not counted.",
        "Claimed columns are what the variants' sources state for their own setting; nothing in them was measured here.",
    ]
    if len(mixed := group.devices) > 1:
        notes.append(
            f"The runs come from {len(mixed)} devices ({'; '.join(map(shorten, mixed))}): times are not comparable."
        )
    return table(id_, title, columns, group.methods, " ".join(notes), more=[*_failed(group), *baselines])


def metrics(group: Group, id_: str, title: str) -> Table:
    """Every metric of every method: mean over seeds and interval."""
    columns = [METHOD]
    baselines = {key: {"method": Value(words_)} for key, words_ in group.baselines.items()}
    for info in metrics_of(group):
        mean, spread = _metric(info)
        columns += [mean, spread]
        for key, row in baselines.items():
            row[mean.heading] = cells.figure(group.baseline(key).get(info.name), _decimals(info))
    note = "How each metric is computed is said below, under 'How it was done'."
    return table(id_, title, columns, group.methods, note, more=list(baselines.values()))


def _metric(info: _Info) -> tuple[Column[Method], Column[Method]]:
    arrow = "higher is better" if info.higher_is_better else "lower is better"
    unit = {"dB": "dB, "}.get(info.unit, "per frame, " if info.unit else "")
    digits = _decimals(info)
    return (
        Column(f"{info.title} ({unit}{arrow})", lambda method: cells.mean(method.estimate(info.name), digits)),
        Column(f"{info.title}, 95% interval", lambda method: cells.spread(method.estimate(info.name), digits)),
    )


def validation(group: Group, id_: str, title: str) -> Table:
    """What chose the checkpoints beside what is reported: a mean that is much higher on validation was chosen by luck."""
    base = group.reference

    def gap(method: Method) -> Value:
        pairs = [(run.validation_ssim, run.metric(HEADLINE)) for run in method.runs.values()]
        return cells.figure(math.fsum(a - b for a, b in pairs) / len(pairs), 4, sign=True)

    def gain(method: Method) -> Value:
        if base is None or method is base:
            return cells.EMPTY
        own, other = method.numbers("validation_ssim"), base.numbers("validation_ssim")
        return cells.difference(compare(other, own, margin=group.margin))

    columns: list[Column[Method]] = [
        METHOD,
        Column("validation SSIM, mean", lambda method: cells.mean(method.estimate_number("validation_ssim"), 4)),
        Column("validation SSIM, 95% interval", lambda method: cells.spread(method.estimate_number("validation_ssim"), 4)),
        SSIM_MEAN,
        SSIM_INTERVAL,
        Column("validation minus test", gap),
        Column("gain over base on validation", gain),
        Column("gain over base on test", lambda method: cells.difference(_gain_on_test(group, method))),
    ]
    note = (
        "Validation chose each checkpoint and decides nothing; verdicts rest on test alone. The two have other sequences, so that "
        "a level may differ by that alone: compare the gains."
    )
    ours = [method for method in group.methods if not method.first.untrained]
    return table(id_, title, columns, ours, note)


def _gain_on_test(group: Group, method: Method) -> Comparison | None:
    if group.reference is None or method is group.reference:
        return None
    return compare(group.reference.values(), method.values(), margin=group.margin)


def costs(group: Group, id_: str, title: str) -> Table:
    """What each method costs: means over seeds, with the interval of the training time."""

    def seconds(method: Method, of: Callable[[Estimate, int], Value]) -> Value:
        found = method.estimate_number("seconds")
        return of(found, cells.decimals(found.mean))

    columns: list[Column[Method]] = [
        METHOD,
        Column("parameters", lambda method: cells.figure(method.first.params, 0)),
        Column("GFLOP a sequence", lambda method: cells.significant(method.first.flops / 1e9)),
        Column("training time (s)", lambda method: seconds(method, cells.mean)),
        Column("training time, 95% interval (s)", lambda method: seconds(method, cells.spread)),
        _time_ratio(group),
        Column("steps", lambda method: cells.figure(_mean(method, "steps"), 0)),
        _cost("training sequences/s", "sequences_per_second"),
        _cost("predicted frames/s", "frames_per_second"),
        _cost("predicted frames/s, batch 1", "frames_per_second_1"),
        _cost("GPU memory, allocated (GiB)", "gpu_allocated", 1 / GIB),
        _cost("GPU memory, reserved (GiB)", "gpu_reserved", 1 / GIB),
        _cost("process memory (GiB)", "host_peak", 1 / GIB),
    ]
    batches = sorted({run.batch_size for run in group.runs if math.isfinite(run.batch_size)})
    note = (
        "Means over seeds. FLOP: two a multiply-add of convolutions and matrix products, to predict one sequence with all its "
        f"views. Predicted frames/s at batch {', '.join(f'{batch:g}' for batch in batches) or NONE}, and at batch 1. Memory: "
        "largest so far in the training's process; reserved is what the allocator took from the GPU."
    )
    ours = [method for method in group.methods if not method.first.untrained]
    return table(id_, title, columns, ours, note, drop_empty=bool(ours))


def cost_ratios(group: Group, id_: str, title: str) -> Table:
    """What each arm's gain costs, as ratios to base's with their intervals over seeds."""
    found = ratios(group)

    def of(cost: str) -> Column[Method]:
        return Column(f"{cost} (x base)", lambda method: cells.cost_ratio(found[method.label].get(cost)))

    columns = [
        METHOD,
        Column(f"gain over base ({title_of(group)})", _compared(group, cells.difference)),
        Column("gain, adjusted interval", _compared(group, cells.difference_interval)),
        *map(of, COSTS),
    ]
    note = (
        "Geometric means of the ratio at the same seed, with 95% t intervals of its logarithm, for each ratio alone; none where "
        "it does not vary over seeds. Training operations: three predictions with one view for each sequence of each step. "
        "Inference operations: a sequence with all views. Memory: the GPU's reserved, otherwise the process's."
    )
    return table(
        id_, title, columns, [method for method in group.others if method.label in found], note, drop_empty=bool(found)
    )


def _cost(heading: str, attribute: str, factor: float = 1.0) -> Column[Method]:
    return Column(heading, lambda method: cells.significant(_mean(method, attribute, factor)))


def _mean(method: Method, attribute: str, factor: float = 1.0) -> float:
    """The mean over seeds; NaN where it was not measured, in one seed at least."""
    values = [value * factor for value in method.numbers(attribute).values()]
    return math.fsum(values) / len(values)


def seeds(group: Group, id_: str, title: str) -> Table:
    """Every run: all metrics and costs."""

    def measured(info: _Info) -> Column[tuple[Method, RunRecord]]:
        def of(row: tuple[Method, RunRecord]) -> Value:
            value = row[1].metric(info.name)
            return cells.figure(value, _decimals(info)) if math.isfinite(value) else Value("not finite")

        return Column(info.title, of)

    columns: list[Column[tuple[Method, RunRecord]]] = [
        names("method", lambda row: row[0].label),
        counts("seed", lambda row: row[1].seed),
        words("run", lambda row: row[1].run_id),
        *map(measured, metrics_of(group)),
        Column("validation SSIM", lambda row: cells.figure(row[1].validation_ssim, 4)),
        Column("steps", lambda row: cells.figure(row[1].steps, 0)),
        Column("best step", lambda row: cells.figure(row[1].best_step, 0)),
        Column("skipped steps", lambda row: cells.figure(row[1].skipped_steps, 0)),
        Column("training time (s)", lambda row: cells.figure(row[1].seconds, cells.decimals(row[1].seconds))),
        Column("training sequences/s", lambda row: cells.significant(row[1].sequences_per_second)),
        Column("predicted frames/s", lambda row: cells.significant(row[1].frames_per_second)),
        Column("GPU memory, reserved (GiB)", lambda row: cells.significant(row[1].gpu_reserved / GIB)),
        Column("process memory (GiB)", lambda row: cells.significant(row[1].host_peak / GIB)),
    ]
    rows = [(method, method.runs[seed]) for method in group.methods for seed in method.seeds]
    return table(id_, title, columns, rows, "The raw records of the tables above, one run a row.", drop_empty=True)


def losses(group: Group, id_: str, title: str) -> Table:
    """The article's loss table, measured: base with other loss weights."""

    def kind(method: Method) -> str:
        return loss_kind(method.first.settings)

    first, *others = _variation(group, "loss")
    columns = [first, words("kind", kind), *others]
    columns.append(words("claimed SSIM", lambda method: ARTICLE_LOSSES.get(kind(method), NONE)))
    note = (
        "Runs of base that differ from the first table's base in the loss alone. Gain: over the loss of the first row, paired "
        "by seed. The claims are the article's (section 3), for its own setting; nothing in that column was measured here."
    )
    return table(id_, title, columns, group.methods, note)


def rates(group: Group, id_: str, title: str) -> Table:
    """Base with other learning rates, schedules, weight decays and batch sizes."""
    note = (
        "Runs of base that differ from the first table's base in these settings alone. Gain: over the first row, paired by "
        "seed. To choose a setting, look at the validation SSIM: the test sequences are for the final comparison."
    )
    return table(id_, title, _variation(group, "setting"), group.methods, note)


def _variation(group: Group, first: str) -> list[Column[Method]]:
    return [
        names(first, lambda method: method.label),
        SEEDS,
        Column("validation SSIM, mean", lambda method: cells.mean(method.estimate_number("validation_ssim"), 4)),
        SSIM_MEAN,
        Column("gain (SSIM)", _compared(group, cells.difference)),
        _verdicts(group),
        SSIM_INTERVAL,
        Column("gain, adjusted interval", _compared(group, cells.difference_interval)),
        Column("p (Holm)", _compared(group, cells.adjusted)),
        MSE_MEAN,
    ]


def rest(groups: Sequence[Group], main: Group, id_: str, title: str) -> Table:
    """Rows that stand alone: finished runs that no other run may be compared with."""
    apart: Mapping[int, str] = {id(method): difference_title(main, one) for one in groups for method in one.methods}
    differs: Column[Method] = words("what differs from the first table", lambda method: apart[id(method)])
    columns = [METHOD, differs, SEEDS, SSIM_MEAN, SSIM_INTERVAL, MSE_MEAN]
    note = "Each row has settings or data of its own; do not compare them with each other."
    return table(id_, title, columns, [method for one in groups for method in one.methods], note)
