"""Every metric beside the judged one: its own family, intervals and verdicts; what flips; up to which frame a blank one is beaten.

Secondary verdicts answer "would another metric have said the same?". Each metric is a family of its own at the plan's level, so
over several metrics more of them are false: the primary one, chosen before the first run, decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.ablation.noise import default_margin
from harness.evaluation.conventions import METRICS
from harness.evaluation.metrics import Metric
from reports.analysis import families
from reports.analysis.comparisons import Comparison, compare_all
from reports.analysis.groups import Group
from reports.analysis.records import MetricInfo
from reports.analysis.verdicts import Kind
from reports.analysis.words import shorten

AUTO = "the judged metric decided when arms stopped, and only its error is kept over all looks"
"""What verdicts by other metrics lack in a plan with `--seeds auto`."""
SHARE = 0.01
"""The margin of a metric of which no noise of five seeds was measured: this share of the reference's mean."""
_MOST = 12
_OPPOSITE = {Kind.HELPS: Kind.HURTS, Kind.HURTS: Kind.HELPS}


@dataclass(frozen=True)
class Secondary:
    """A metric's comparisons, one for each of the judged metric's, Holm-adjusted among themselves."""

    metric: str
    title: str
    higher_is_better: bool
    margin: float
    margin_from: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Flip:
    """A comparison whose verdict depends on the metric.

    `verdicts`: title of the metric -> verdict, the judged one first. `turned`: titles of those that claim the opposite.
    """

    name: str
    verdicts: Mapping[str, Kind]
    turned: tuple[str, ...]

    @property
    def words(self) -> str:
        """'curriculum: helps by SSIM; undecided by MSE and PSNR; hurts by MAE'."""
        by: dict[Kind, list[str]] = {}
        for title, kind in self.verdicts.items():
            by.setdefault(kind, []).append(title)
        return f"{shorten(self.name, 60)}: {'; '.join(f'{kind} by {_and(titles)}' for kind, titles in by.items())}"


@dataclass(frozen=True)
class AboveBlank:
    """How far an arm's predictions are better than a blank frame's, on the mean over seeds.

    `frames`: metric -> the last predicted frame, counted from 1 and without a gap before it, at which the arm is better; 0: not
    even the first. Only metrics that the blank frame has.
    """

    name: str
    horizon: int
    frames: Mapping[str, int]

    @property
    def every(self) -> int:
        """Up to which frame every metric is better."""
        return min(self.frames.values(), default=0)


def secondary(group: Group) -> tuple[Secondary, ...]:
    """The metrics beside the judged one that every row was measured by, each with its verdicts."""
    if "secondary" not in group.kept:
        group.kept["secondary"] = tuple(_secondary(group))
    found: tuple[Secondary, ...] = group.kept["secondary"]
    return found


def _secondary(group: Group) -> Iterator[Secondary]:
    if group.reference is None or not group.comparisons:
        return
    for info in metrics_of(group):
        if info.name == group.metric or not all(
            math.isfinite(run.metric(info.name)) for run in group.reference.runs.values()
        ):
            continue
        margin, source = _margin(group, info)
        if margin > 0:
            comparisons = _compared(group, info, margin)
            yield Secondary(info.name, info.title, info.higher_is_better, margin, source, comparisons)


def flips(group: Group, others: tuple[Secondary, ...]) -> tuple[Flip, ...]:
    """The comparisons on which metrics disagree: those with opposite claims first."""
    title = title_of(group)
    by_name = {one.title: {row.name: row.verdict.kind for row in one.comparisons} for one in others}
    found = []
    for row in judged(group):
        kind = row.verdict.kind
        verdicts = {title: kind} | {name: rows[row.name] for name, rows in by_name.items() if row.name in rows}
        if len(set(verdicts.values())) > 1:
            turned = tuple(name for name, one in verdicts.items() if one is _OPPOSITE.get(kind))
            found.append(Flip(row.name, verdicts, turned))
    return tuple(sorted(found, key=lambda one: not one.turned))


def above_blank(group: Group) -> tuple[AboveBlank, ...]:
    """Every row, the reference first: up to which frame it beats a blank one, by each metric."""
    blank = group.first.baselines_per_frame.get("blank", {})
    found = []
    for method in group.methods:
        frames: dict[str, int] = {}
        for info in metrics_of(group):
            series = [run.per_frame.get(info.name, ()) for run in method.runs.values()]
            flat = blank.get(info.name, ())
            horizon = min(map(len, [flat, *series]))
            if horizon:
                means = [math.fsum(one[frame] for one in series) / len(series) for frame in range(horizon)]
                sign = 1 if info.higher_is_better else -1
                better = [sign * mean > sign * other for mean, other in zip(means, flat[:horizon], strict=True)]
                frames[info.name] = next((frame for frame, yes in enumerate(better) if not yes), horizon)
        longest = max((len(one) for one in blank.values()), default=0)
        found.append(AboveBlank(method.label, longest, frames))
    return tuple(found)


def flip_words(found: tuple[Flip, ...], others: tuple[Secondary, ...], exploratory: bool = False) -> str:
    """Which verdicts depend on the metric; empty without secondary metrics. `exploratory`: see `AUTO`."""
    if not others:
        return ""
    margins = ", ".join(f"{one.title} {one.margin:g}" for one in others)
    start = f"Secondary metrics, each Holm-adjusted in a family of its own (margins: {margins})"
    if exploratory:
        start = f"{start}, exploratory: {AUTO}"
    if not found:
        return f"{start}: every verdict is the same by all of them."
    turned = f" Opposite claims: {', '.join(shorten(one.name, 60) for one in found if one.turned)}."
    listed = "; ".join(one.words for one in found[:_MOST])
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return (
        f"{start}: verdicts that depend on the metric: {listed}{more}.{turned if any(one.turned for one in found) else ''}"
    )


def blank_words(found: tuple[AboveBlank, ...]) -> str:
    """Up to which frame arms have learnt something; empty where no run has figures by frame."""
    known = [one for one in found if one.frames]
    short = [one for one in known if one.every < one.horizon]
    if not known or not short:
        return "Every arm is better than a blank frame by every metric at every predicted frame." if known else ""
    parts = []
    for one in short[:_MOST]:
        first = [name for name, frame in one.frames.items() if frame == one.every]
        parts.append(f"{shorten(one.name, 60)} to frame {one.every} of {one.horizon} (first to fail: {_and(first)})")
    more = f"; and {len(short) - _MOST} more" if len(short) > _MOST else ""
    rest = "" if len(short) == len(known) else " The other arms are at all frames."
    return f"Better than a blank frame by every metric, on the mean over seeds: {'; '.join(parts)}{more}.{rest}"


def metrics_of(group: Group) -> list[Metric | MetricInfo]:
    """The metrics that the group's runs have: the built-in ones, then others."""
    return [*METRICS.values(), *group.more_metrics]


def title_of(group: Group) -> str:
    """The judged metric's title."""
    return next((info.title for info in metrics_of(group) if info.name == group.metric), group.metric)


def judged(group: Group) -> tuple[Comparison, ...]:
    """The family: the plan's, otherwise all rows."""
    return group.contrasts if group.plan is not None else tuple(group.comparisons.values())


def _margin(group: Group, info: Metric | MetricInfo) -> tuple[float, str]:
    found = default_margin(group.first.preset, info.name)
    if found is not None:
        return found
    mean = group.reference.estimate(info.name).mean if group.reference is not None else None
    margin = float(f"{abs(mean or 0.0) * SHARE:.2g}")
    return margin, f"{SHARE:.0%} of the reference's mean; no noise of five seeds was measured for this preset"


def _compared(group: Group, info: Metric | MetricInfo, margin: float) -> tuple[Comparison, ...]:
    better = info.higher_is_better
    if group.plan is not None:
        return tuple(families.contrasts(group.runs, group.plan, info.name, margin, better))
    assert group.reference is not None
    treated = {method.label: method.values(info.name) for method in group.others}
    base = group.reference.values(info.name)
    return tuple(compare_all(base, treated, margin=margin, higher_is_better=better, test=group.test))


def _and(titles: list[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
