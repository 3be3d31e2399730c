"""What a paper takes from a report: a table of six columns, the methods in a paragraph, and tidy data in full precision."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.variant import Variants
from harness.version import __version__
from reports import cells
from reports.analysis import settings
from reports.analysis.comparisons import Comparison
from reports.analysis.costs import COSTS, ROW, ratios
from reports.analysis.costs import rows as cost_rows
from reports.analysis.estimates import Estimate, estimate
from reports.analysis.groups import Decided, Group
from reports.analysis.secondary import metrics_of, secondary, title_of
from reports.analysis.words import counted, listed, names_in, number, shorten
from reports.page import Data, Paper, Table, Value
from reports.pages.answer import rows_of
from reports.pages.plan import control_words, exploratory, held_equal

REFERENCES = {
    "Holm 1979": "S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979",
    "Schuirmann 1987": "D. J. Schuirmann, A comparison of the two one-sided tests procedure and the power approach, Journal of "
    "Pharmacokinetics and Biopharmaceutics 15, 1987",
    "Welch 1947": "B. L. Welch, The generalization of Student's problem when several different population variances are "
    "involved, Biometrika 34, 1947",
    "Wilcoxon 1945": "F. Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1, 1945",
    "Hodges and Lehmann 1963": "J. L. Hodges and E. L. Lehmann, Estimates of location based on rank tests, Annals of Mathematical "
    "Statistics 34, 1963",
    "Liu and Anderson 2008": "Q. Liu and K. M. Anderson, On adaptive extensions of group sequential trials for clinical "
    "investigations, Journal of the American Statistical Association 103, 2008",
    "Ye et al. 2013": "Y. Ye, A. Li, L. Liu and B. Yao, A group sequential Holm procedure with multiple primary endpoints, "
    "Statistics in Medicine 32, 2013",
    "Jennison and Turnbull 1989": "C. Jennison and B. W. Turnbull, Interim analyses: the repeated confidence interval approach, "
    "Journal of the Royal Statistical Society B 51, 1989",
}
"""What `statistics` names -> its source."""
COMPARISON = (
    "table", "arm", "reference", "metric", "higher_is_better", "seeds", "failed_seeds", "method", "difference", "low", "high",
    "low_joint", "high_joint", "low_alone", "high_alone", "p", "p_adjusted", "p_equivalence", "p_equivalence_adjusted", "sd",
    "margin", "verdict", "seeds_needed", "exploratory",
)  # fmt: skip
"""The columns of data/comparisons; `low` and `high` as in `Comparison`. `exploratory`: no plan's family has it, or, for a secondary
metric, a rule of seeds looked at another one; empty where nobody knows what was planned."""


class Arm(NamedTuple):
    """A row of the paper's table; `comparison` is None for the reference."""

    name: str
    cost: str
    estimate: Estimate
    comparison: Comparison | None = None


def column_table(
    arms: Sequence[Arm],
    metric: str,
    margin: float,
    convention: str,
    pairing: str,
    *,
    family: int | None = None,
    looks: bool = False,
) -> Table:
    """Name, cost, mean, gain with interval, adjusted p and verdict: narrow enough for a column of a paper.

    Gains are multiplied by a power of 1,000, so that few digits show them. The title is the caption.

    Args:
        family: how many comparisons p is adjusted over; all of `arms` by default.
        looks: whether p and intervals hold over all looks of a rule of seeds.
    """
    power = -3 * math.floor((math.log10(margin) + 1) / 3)
    scale = 10.0**power
    digits, mean_digits = cells.decimals_of(margin * scale), max(0, cells.decimals_of(margin) - 1)
    rows = []
    for arm in arms:
        one = arm.comparison
        gain = p = mean = cells.NONE
        word = "reference"
        if one is not None:
            word = one.verdict.kind.value
            if one.mean is not None and not one.excluded:
                gain = cells.figure(one.mean * scale, digits, sign=True).text
                if one.low is not None and one.high is not None:
                    gain += f" {cells.interval(one.low * scale, one.high * scale, digits).text}"
            p = cells.adjusted(one).text.replace("0.", ".")
        if not arm.estimate.excluded and not (one and one.excluded):  # no mean of the seeds that survived
            mean = cells.mean(arm.estimate, mean_digits).text
        texts = (arm.name, arm.cost or cells.NONE, mean, gain, p, word)
        rows.append(tuple(map(Value, texts)))
    compared = [arm.comparison for arm in arms if arm.comparison is not None]
    seeds = {str(one.n) for one in compared} or {"0"}
    times = "" if power == 0 else f" × {10**power:,}" if power > 0 else f" / {10**-power:,}"
    size = counted(len(compared) if family is None else family, "comparison")
    caption = (
        f"{metric} over {' to '.join(sorted({min(seeds, key=int), max(seeds, key=int)}, key=int))} seeds: mean, and gain over "
        f"{arms[0].name} ({pairing}) with its interval at Holm's level{times and f', {times.strip()}'}; p Holm-adjusted over "
        f"{size}{' and all looks' if looks else ''}; equivalent: within {margin:g}. {convention}"
    )
    headings = ("arm", "cost", metric, f"gain{times}", "p", "verdict")
    return Table("paper", caption, headings, tuple(rows), (False, False, True, True, True, False))


def paper(group: Group, variants: Variants) -> Paper | None:
    """The table and the methods of a report's first table; None where nothing was compared. Controls are in the methods alone."""
    if group.reference is None or not group.comparisons:
        return None
    rows, title = rows_of(group), title_of(group)
    arms = [Arm(group.reference.label, "1.00x", group.reference.estimate(group.metric))]
    for row in rows:
        ratio = row.method.time_ratio(row.reference) if row.method else None
        mean = row.method.estimate(group.metric) if row.method else estimate({})
        arms.append(Arm(shorten(row.name, 80), "" if ratio is None else f"{ratio:.2f}x", mean, row.comparison))
    own = {one.name: one.convention for one in metrics_of(group)}.get(group.metric, "")
    convention = group.first.conventions.get(group.metric, own)
    outside = [shorten(row.name, 40) for row in rows if group.plan is not None and row.name in group.exploratory]
    words = f"{title}: {convention}. Cost: training time." + (f" Exploratory: {', '.join(outside)}." if outside else "")
    table = column_table(
        arms, title, group.margin, words, "paired by seed",
        family=len(group.contrasts) or len(rows), looks=group.decided is not None,
    )  # fmt: skip
    return Paper(table, tuple(_methods(group, [row.comparison for row in rows], variants, convention)))


def _methods(group: Group, compared: Sequence[Comparison], variants: Variants, convention: str) -> list[str]:
    used, run = group.first.settings, group.first
    names = [shorten(one.name, 60) for one in compared]
    facts = [f"{name} {run.facts[name]}" for name in ("torch", "python") if name in run.facts]
    devices = ", ".join(map(shorten, group.devices)) or "an unrecorded device"
    base = shorten(group.reference.label, 60) if group.reference else "base"
    seeds = f"{counted(len(group.seeds), 'seed')} ({listed(group.seeds)})"
    experiment = (
        f"We compared {', '.join(names)} with {base} over {'at most ' if group.decided is not None else ''}{seeds}. Each arm "
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
    judged = statistics(compared, group.margin, family=len(group.contrasts) or None, decided=group.decided)
    text = " ".join([experiment, *_plan(group), judged, *control_words(group), software])
    return [text, "\n".join([*references(judged), *cited])]


def _plan(group: Group) -> list[str]:
    """What was asked beforehand, and what departs from it."""
    asked = group.plan.question if group.plan else {}
    if not asked:
        return ["No plan was written before the first run: the comparisons are exploratory."]
    why = exploratory(group)
    held = ", ".join(held_equal(group))
    planned = (
        f"Arms, metric, margin ({asked['margin']:g}: {asked.get('margin_from')}) and seeds are those of the plan {asked['digest']}"
        f"{'' if why else ', written before the first run'}; held equal: {held or 'nothing'}."
    )
    return [planned, *([f"Exploratory: {'; '.join(why)}."] if why else [])]


def statistics(
    comparisons: Iterable[Comparison],
    margin: float,
    alpha: float = 0.05,
    *,
    family: int | None = None,
    decided: Decided | None = None,
) -> str:
    """How the comparisons were made, in sentences. `family`: how many are adjusted together, if not all of these."""
    there = list(comparisons)
    paired = all(one.method == "paired" for one in there)
    size = counted(len(there) if family is None else family, "comparison")
    what, test = "mean differences with t intervals", "two-sided paired t tests over seeds"
    sides = "two one-sided tests (Schuirmann 1987)"
    if not paired:
        test = "Welch's t tests (Welch 1947)"
    elif any(one.test == "signed-rank" for one in there):
        what = "medians of pairwise averages of the differences (Hodges and Lehmann 1963) with their exact intervals"
        test = "two-sided exact signed-rank tests over seeds (Wilcoxon 1945)"
        sides += " of the same kind"
    looks = ""
    if decided is not None:
        rule = decided.rule
        looks = (
            f"Seeds were added after looks at {', '.join(map(str, rule.looks))} seeds until each arm helped, hurt or was "
            f"equivalent; group-sequential boundaries keep the error at {rule.alpha:.0%} over all looks (Liu and Anderson 2008; Ye "
            "et al. 2013), and intervals are repeated confidence intervals (Jennison and Turnbull 1989). "
        )
    pairs = "Differences are paired by seed. " if paired else ""
    return (
        f"{pairs}{looks}We report {what} and {test}, both adjusted by Holm's procedure (Holm 1979) over {size} at {alpha:.0%}; an "
        f"arm is called equivalent where {sides}, adjusted likewise, place its difference within {margin:g}. Failed runs block a "
        "verdict and stay in the family."
    )


def references(text: str) -> list[str]:
    """The sources that a text of `statistics` names."""
    return [f"- {source}." for name, source in REFERENCES.items() if name in text]


def comparison_rows(
    table: str,
    found: Iterable[Comparison],
    reference: str,
    metric: str,
    higher_is_better: bool,
    exploratory: Container[str] | None = None,
) -> list[tuple[object, ...]]:
    """Rows of data/comparisons; `exploratory` names those that are."""
    return [
        (
            table, one.name, reference, metric, higher_is_better, one.n, " ".join(map(str, one.excluded)), one.method, one.mean,
            one.low, one.high, one.low_joint, one.high_joint, one.low_alone, one.high_alone,
            one.p, one.p_adjusted, one.p_equivalence, one.p_equivalence_adjusted, one.sd, one.margin,
            one.verdict.kind.value, one.verdict.seeds_needed, None if exploratory is None else one.name in exploratory,
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
        spent += cost_rows(name, group.reference.label if group.reference else "", ratios(group))
    return (
        Data("runs", RUN, tuple(runs)),
        compared(groups),
        *([Data("costs", ROW, tuple(spent))] if spent else []),
    )


def compared(groups: Mapping[str, Group]) -> Data:
    """The second of `data`: a row for each comparison."""
    rows: list[tuple[object, ...]] = []
    for name, group in groups.items():
        base = group.reference.label if group.reference else ""
        asked = {one["name"]: one["reference"] for one in (group.plan.question.get("contrasts") or ())} if group.plan else {}
        rest = [one for one in group.contrasts if one.name not in group.comparisons]
        for found, reference in ((group.comparisons.values(), base), *(((one,), asked[one.name]) for one in rest)):
            rows += comparison_rows(name, found, reference, group.metric, group.higher_is_better, group.exploratory)
        for other in secondary(group):
            outside = group.exploratory if group.decided is None else [one.name for one in other.comparisons]
            rows += comparison_rows(name, other.comparisons, base, other.metric, other.higher_is_better, outside)
    return Data("comparisons", COMPARISON, tuple(rows))
