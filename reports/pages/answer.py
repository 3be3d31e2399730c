"""The first screen in words: a headline, a row for each arm, the controls, and what would decide the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from reports import cells
from reports.analysis.commands import installable, plan_command
from reports.analysis.comparisons import Comparison
from reports.analysis.groups import Group, Method
from reports.analysis.records import Records, Trouble
from reports.analysis.words import counted, listed, shorten
from reports.page import Answer, Control, Effect
from reports.pages.plan import checked_controls

MOST_ROWS = 12
VERDICTS = ("helps", "hurts", "equivalent", "failed", "undecided")
"""The order in which the headline names them."""
_MOST_NAMES = 4
_SINGULAR = {"helps": "helps", "hurts": "hurts", "equivalent": "makes no difference", "failed": "failed in a seed"}
_PLURAL = {"helps": "help", "hurts": "hurt", "equivalent": "make no difference", "failed": "failed in some seeds"}


def headline(verdicts: Mapping[str, str], margin: float) -> str:
    """Arm -> verdict, as a sentence: 'curriculum and tta help; residual makes no difference beyond 0.005; 2 are undecided.'"""
    parts = []
    for kind in VERDICTS:
        names = [shorten(name, 40) for name, one in verdicts.items() if one == kind]
        many = len(names) > 1
        who = f"{len(names)} of {len(verdicts)} arms" if len(names) > _MOST_NAMES else _and(names) if names else ""
        if names and kind == "undecided":
            parts.append(f"{len(names)} of {len(verdicts)} arms {'are' if many else 'is'} undecided")
        elif names:
            parts.append(
                f"{who} {(_PLURAL if many else _SINGULAR)[kind]}" + (f" beyond {margin:g}" if kind == "equivalent" else "")
            )
    return f"{'; '.join(parts)}." if parts else "Nothing can be compared."


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def effect(one: Comparison, name: str, decimals: int, cost: str) -> Effect:
    """A comparison as a row."""
    word, failed = one.verdict.kind.value, bool(one.excluded)
    interval = cells.difference_interval(one, decimals).text
    text = cells.difference(one, decimals).text + ("" if interval == cells.NONE else f" {interval}")
    if failed:
        sure = f"seed {listed(one.excluded, 6)} failed"
    elif word == "undecided":
        needed = one.verdict.seeds_needed
        sure = f"{one.n} of about {needed:,} seeds" if needed else counted(one.n, "seed")
    else:
        p = one.p_adjusted if word in ("helps", "hurts") else one.p_equivalence_adjusted
        sure = counted(one.n, "seed") if p is None else f"p {cells.probability(p).text}, {counted(one.n, 'seed')}"
    drawn = (None, None, None) if failed else (one.mean, one.low, one.high)
    return Effect(shorten(name, 60), word, *drawn, text="" if text == cells.NONE else text, cost=cost, sure=sure)


def remaining(comparisons: Mapping[str, Comparison]) -> list[str]:
    """How many seeds would decide what is undecided, in sentences; by the names of the arms."""
    there = comparisons.items()
    needed = [(one.verdict.seeds_needed, shorten(name, 40)) for name, one in there if one.verdict.kind.value == "undecided"]
    known = sorted((count, name) for count, name in needed if count)
    lines = []
    if known:
        shown = ", ".join(f"{name} {count:,}" for count, name in known[:8])
        lines.append(f"Seeds in all that would decide the rest, about: {shown}.")
    if vague := [name for count, name in needed if not count]:
        lines.append(f"No number of seeds can be named for {_and(vague[:_MOST_NAMES])}.")
    if failed := [shorten(name, 40) for name, one in there if one.excluded]:
        lines.append(f"A verdict on {_and(failed[:_MOST_NAMES])} needs the failed seeds explained or repeated.")
    return lines or ["Nothing is left to decide at this margin."]


def answer(main: Group, found: Records, missing: Sequence[Trouble], copies: tuple[int, int], metric: str) -> Answer:
    """The first screen of a store's first table.

    Args:
        copies: A/A plans that ran, and how many of them raised an alarm.
        metric: the headline metric's title.
    """
    judged = {name: one for name, one in main.comparisons.items() if name not in {check.name for check in main.controls}}
    rows = [one for one in main.others if one.label in judged]
    called = dict(zip(judged, judged, strict=True)) | _together(rows)
    verdicts = {one.label: main.comparisons[one.label].verdict.kind.value for one in rows}
    effects = [effect(main.comparisons[one.label], called[one.label], 4, costs(main, one)) for one in _first(rows)]
    if main.reference is not None:
        estimate = main.reference.estimate()
        at = f"{cells.mean(estimate, 4).text} {cells.spread(estimate, 4).text}".removesuffix(f" {cells.NONE}")
        effects.insert(
            0, Effect(shorten(main.reference.label, 60), text=at, sure=counted(len(main.reference.seeds), "seed"))
        )
    family = counted(len(judged), "comparison")
    base = shorten(main.reference.label, 40) if main.reference else "no base"
    open_ = [one.label for one in rows if verdicts[one.label] == "undecided" and not one.first.scored]
    most = max((main.comparisons[name].verdict.seeds_needed or 0 for name in open_), default=0)
    names = installable(open_)
    commands = (
        [plan_command(main, ",".join([main.first.variant, *names]), seeds=range(most))] if names and 0 < most <= 1000 else []
    )
    more = len(rows) + (main.reference is not None) - len(effects)
    return Answer(
        headline=headline({called[name]: one for name, one in verdicts.items()}, main.margin),
        setting=f"Test {metric}, {main.title}; {family}, paired by seed, Holm-adjusted at 5%, margin {main.margin:g}."
        + (f" {more} more arms are in the tables." if more else ""),
        gain=f"gain in test {metric} over {base}",
        margin=main.margin,
        effects=tuple(effects),
        controls=tuple(controls(main, found, missing, copies)),
        remaining=tuple(remaining({called[name]: one for name, one in judged.items()})),
        commands=tuple(commands),
    )


def _together(rows: Sequence[Method]) -> dict[str, str]:
    """The composition of all the ideas, by a name that is read at once."""
    single = {one.label for one in rows if "+" not in one.label}
    return {one.label: "all together" for one in rows if len(single) > 1 and set(one.label.split("+")) == single}


def _first(rows: Sequence[Method]) -> list[Method]:
    """Each idea alone and the largest composition, where there are too many for a screen."""
    if len(rows) <= MOST_ROWS:
        return list(rows)
    single = [method for method in rows if "+" not in method.variant]
    largest = sorted((one for one in rows if "+" in one.variant), key=lambda one: -one.variant.count("+"))[:1]
    return [*single[: MOST_ROWS - len(largest)], *largest]


def costs(group: Group, method: Method) -> str:
    """'1.20x time, +21% parameters, 4.00x inference': training time, size and operations of a prediction, where they differ."""
    ratio, base = method.time_ratio(group.reference), group.reference.first if group.reference else None
    found = [] if ratio is None else [f"{ratio:.2f}x time"]
    if base is not None:
        more = method.first.params / base.params - 1 if base.params else math.nan
        if math.isfinite(more) and abs(more) >= 0.005:
            found.append(f"{more:+.0%} parameters")
        inference = method.first.flops / base.flops if base.flops else math.nan
        if math.isfinite(inference) and abs(inference - 1) >= 0.005:
            found.append(f"{inference:.2f}x inference")
    return ", ".join(found)


def controls(main: Group, found: Records, missing: Sequence[Trouble], copies: tuple[int, int]) -> list[Control]:
    """Whether pure noise raises an alarm, everything beats a blank frame, and everything planned is there."""
    lines = [
        Control(passed if one.n else None, _control_words(one, must, passed)) for one, must, passed in checked_controls(main)
    ]
    plans, alarms = copies
    if not plans:
        lines += [] if lines else [Control(None, "A/A (base against itself): not run")]
    elif alarms:
        lines.append(Control(False, f"A/A (base against itself): {alarms} of {plans} raised a false alarm"))
    else:
        lines.append(Control(True, f"A/A (base against itself): no alarm in {counted(plans, 'plan')}"))
    blank = main.baseline("blank").get("ssim", math.nan)
    means = {method.label: method.estimate().mean for method in main.methods}
    below = [shorten(name, 40) for name, mean in means.items() if mean is None or not mean > blank]
    if math.isfinite(blank):
        names = f"not above the blank frame ({blank:.4f}): {_and(below[:_MOST_NAMES])}" if below else ""
        lines.append(Control(not below, names or f"every arm is above the blank frame ({blank:.4f})"))
    lost = len(missing) + sum(one.status in ("failed", "damaged") for one in found.troubles)
    finished = f"all {counted(len(main.runs), 'run')} finished"
    lines.append(Control(not lost, f"{counted(lost, 'run')} missing, failed or damaged" if lost else finished))
    if len(main.devices) > 1:
        lines.append(Control(False, f"{len(main.devices)} devices: times are not comparable"))
    return lines


def _control_words(one: Comparison, must: str, passed: bool) -> str:
    """'half the budget, must hurt: hurts (-0.0380)'."""
    size = "" if one.mean is None else f" ({one.mean:+.4f})"
    name = shorten(one.name, 40)
    if not one.n:
        return f"{name}, must be found: {must}; not run"
    return f"{name}, must be found: {must}; {'was' if passed else 'but'} {one.verdict.kind.value}{size}"
