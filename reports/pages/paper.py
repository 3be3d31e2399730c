"""What a paper takes from a report: a table of six columns, the methods in a paragraph, and tidy data in full precision."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.variant import Variants
from harness.version import __version__
from reports import cells
from reports.analysis import settings
from reports.analysis.comparisons import Comparison, Estimate
from reports.analysis.costs import COSTS, ROW, ratios
from reports.analysis.costs import rows as cost_rows
from reports.analysis.groups import Group
from reports.analysis.secondary import metrics_of, secondary, title_of
from reports.analysis.words import counted, distinct, listed, names_in, number, shorten
from reports.page import Data, Paper, Table, Value

REFERENCES = {
    "Holm 1979": "S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979",
    "Schuirmann 1987": "D. J. Schuirmann, A comparison of the two one-sided tests procedure and the power approach, Journal of "
    "Pharmacokinetics and Biopharmaceutics 15, 1987",
    "Welch 1947": "B. L. Welch, The generalization of Student's problem when several different population variances are "
    "involved, Biometrika 34, 1947",
}
COMPARISON = (
    "table", "arm", "reference", "metric", "higher_is_better", "seeds", "failed_seeds", "method", "difference", "low", "high",
    "low_joint", "high_joint", "low_alone", "high_alone", "p", "p_adjusted", "p_equivalence", "p_equivalence_adjusted", "sd",
    "margin", "verdict", "seeds_needed",
)  # fmt: skip
"""The columns of data/comparisons; `low` and `high` as in `Comparison`."""


class Arm(NamedTuple):
    """A row of the paper's table; `comparison` is None for the reference."""

    name: str
    cost: str
    estimate: Estimate
    comparison: Comparison | None = None


def column_table(arms: Sequence[Arm], metric: str, margin: float, convention: str, pairing: str) -> Table:
    """Name, cost, mean, gain with interval, adjusted p and verdict: narrow enough for a column of a paper.

    Gains are multiplied by a power of 1,000, so that few digits show them. The title is the caption.
    """
    power = -3 * math.floor((math.log10(margin) + 1) / 3)
    scale = 10.0**power
    digits, mean_digits = cells.decimals_of(margin * scale), max(0, cells.decimals_of(margin) - 1)
    rows = []
    for arm in arms:
        one = arm.comparison
        gain = p = cells.NONE
        word = "reference"
        if one is not None:
            word = one.verdict.kind.value
            if one.mean is not None and not one.excluded:
                gain = cells.figure(one.mean * scale, digits, sign=True).text
                if one.low is not None and one.high is not None:
                    gain += f" {cells.interval(one.low * scale, one.high * scale, digits).text}"
            p = cells.adjusted(one).text
        texts = (arm.name, arm.cost or cells.NONE, cells.mean(arm.estimate, mean_digits).text, gain, p, word)
        rows.append(tuple(map(Value, texts)))
    compared = [arm.comparison for arm in arms if arm.comparison is not None]
    seeds = distinct(str(one.n) for one in compared) or ["0"]
    times = "" if power == 0 else f" × {10**power:,}" if power > 0 else f" / {10**-power:,}"
    caption = (
        f"{metric} over {' to '.join(sorted({seeds[0], seeds[-1]}, key=int))} seeds: mean, and gain over {arms[0].name} "
        f"({pairing}) with its interval at Holm's level{times and f', {times.strip()}'}; p Holm-adjusted over "
        f"{counted(len(compared), 'comparison')}; equivalent: within {margin:g}. {convention}"
    )
    headings = ("arm", "cost", metric, f"gain{times}", "p", "verdict")
    return Table("paper", caption, headings, tuple(rows), (False, False, True, True, True, False))


def paper(group: Group, variants: Variants) -> Paper | None:
    """The table and the methods of a report's first table; None where nothing was compared."""
    if group.reference is None or not group.comparisons:
        return None
    title = title_of(group)
    arms = [Arm(group.reference.label, "1.00x", group.reference.estimate(group.metric))]
    for method in group.others:
        ratio = method.time_ratio(group.reference)
        cost = "" if ratio is None else f"{ratio:.2f}x"
        arms.append(Arm(shorten(method.label, 80), cost, method.estimate(group.metric), group.comparisons.get(method.label)))
    own = {one.name: one.convention for one in metrics_of(group)}.get(group.metric, "")
    convention = group.first.conventions.get(group.metric, own)
    table = column_table(arms, title, group.margin, f"{title}: {convention}. Cost: training time.", "paired by seed")
    return Paper(table, tuple(_methods(group, variants, convention)))


def _methods(group: Group, variants: Variants, convention: str) -> list[str]:
    used, run = group.first.settings, group.first
    names = [shorten(method.label, 60) for method in group.others]
    facts = [f"{name} {run.facts[name]}" for name in ("torch", "python") if name in run.facts]
    devices = ", ".join(map(shorten, group.devices)) or "an unrecorded device"
    base = shorten(group.reference.label, 60) if group.reference else "base"
    experiment = (
        f"We compared {', '.join(names)} with {base} over {counted(len(group.seeds), 'seed')} ({listed(group.seeds)}). Each arm "
        f"trained at the preset {shorten(run.preset)} with {group.budget}, batch {number(used.get(settings.BATCH))}, in "
        f"{group.precision} on {devices}; the loss was {settings.loss_words(used)}. A training keeps the weights with the best "
        f"validation score, and figures are of {number(used.get(settings.TEST_SEQUENCES))} test sequences (digest "
        f"{run.test_digest[:16]}) that neither training nor validation sees. The metric is "
        f"{title_of(group)}: {convention}."
    )
    software = f"Computed with ablation-harness {', '.join([__version__, *facts])}."
    cited = []
    for name in dict.fromkeys(part for method in group.methods for part in names_in(method.variant)):
        plugin = variants.plugin(name) if name in variants.names else None
        if plugin is not None and plugin.error is None and (plugin.value.citation or plugin.value.source):
            cited.append(f"- {name}: {plugin.value.citation or plugin.value.source}")
    compared = list(group.comparisons.values())
    text = f"{experiment} {statistics(compared, group.margin)} {software}"
    return [text, "\n".join([*references(compared), *cited])]


def statistics(comparisons: Iterable[Comparison], margin: float, alpha: float = 0.05) -> str:
    """How the comparisons were made, in sentences."""
    there = list(comparisons)
    paired = all(one.method == "paired" for one in there)
    test = "two-sided paired t tests over seeds" if paired else "Welch's t tests (Welch 1947)"
    pairs = "Differences are paired by seed. " if paired else ""
    return (
        f"{pairs}We report mean differences with t intervals and {test}, both adjusted by Holm's procedure (Holm 1979) over "
        f"{counted(len(there), 'comparison')} at {alpha:.0%}; an arm is called equivalent where two one-sided tests (Schuirmann "
        f"1987), adjusted likewise, place its difference within {margin:g}. Failed runs block a verdict and stay in the family."
    )


def references(comparisons: Iterable[Comparison]) -> list[str]:
    """The sources of the methods that `statistics` names."""
    skip = () if any(one.method == "unpaired" for one in comparisons) else ("Welch 1947",)
    return [f"- {text}." for name, text in REFERENCES.items() if name not in skip]


def comparison_rows(
    table: str, found: Iterable[Comparison], reference: str, metric: str, higher_is_better: bool
) -> list[tuple[object, ...]]:
    """Rows of data/comparisons."""
    return [
        (
            table, one.name, reference, metric, higher_is_better, one.n, " ".join(map(str, one.excluded)), one.method, one.mean,
            one.low, one.high, one.low_joint, one.high_joint, one.low_alone, one.high_alone,
            one.p, one.p_adjusted, one.p_equivalence, one.p_equivalence_adjusted, one.sd, one.margin,
            one.verdict.kind.value, one.verdict.seeds_needed,
        )
        for one in found
    ]  # fmt: skip


_MORE = ("training operations", "inference time", "memory")
RUN = (
    "table", "arm", "seed", "run", "metric", "value", "higher_is_better", "unit", "seconds", "parameters", "flops",
    "training_flops", "seconds_a_frame", "memory_bytes",
)  # fmt: skip
"""The columns of data/runs; `flops` to predict a sequence with all views, `training_flops` of the whole training."""


def data(groups: Mapping[str, Group]) -> tuple[Data, ...]:
    """A row for each run and metric, a row for each comparison, and a row for each cost of an arm, of tables by name."""
    runs: list[tuple[object, ...]] = []
    comparisons: list[tuple[object, ...]] = []
    spent: list[tuple[object, ...]] = []
    for name, group in groups.items():
        infos = metrics_of(group)
        for method in group.methods:
            for seed, run in method.runs.items():
                costs = (run.seconds, run.params, run.flops, *(COSTS[name](run) for name in _MORE))
                start = (name, method.label, seed, run.run_id)
                runs += [
                    (*start, info.name, run.metric(info.name), info.higher_is_better, info.unit, *costs) for info in infos
                ]
        base = group.reference.label if group.reference else ""
        asked = {one["name"]: one["reference"] for one in (group.plan.question.get("contrasts") or ())} if group.plan else {}
        rest = [one for one in group.contrasts if one.name not in group.comparisons]
        for found, reference in ((group.comparisons.values(), base), *(((one,), asked[one.name]) for one in rest)):
            comparisons += comparison_rows(name, found, reference, group.metric, group.higher_is_better)
        for other in secondary(group):
            comparisons += comparison_rows(name, other.comparisons, base, other.metric, other.higher_is_better)
        spent += cost_rows(name, base, ratios(group))
    return (
        Data("runs", RUN, tuple(runs)),
        Data("comparisons", COMPARISON, tuple(comparisons)),
        *([Data("costs", ROW, tuple(spent))] if spent else []),
    )
