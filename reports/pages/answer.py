"""The first screen in words: a headline, a row for each arm, the controls, and what would decide the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from harness.ablation.noise import POWER, Noise, reach
from harness.evaluation.conventions import HEADLINE, METRICS
from harness.reports import Answer as Terminal
from reports import cells
from reports.analysis.commands import installable, plan_command
from reports.analysis.comparisons import Comparison
from reports.analysis.costs import FRONTS, cost_words, front, front_words
from reports.analysis.groups import Group, Method
from reports.analysis.records import Records, Trouble
from reports.analysis.secondary import above_blank, flips, judged, secondary, title_of
from reports.analysis.verdicts import Kind
from reports.analysis.words import counted, listed, shorten
from reports.page import Answer, Control, Effect
from reports.pages.plan import checked_controls, control_seeds, exploratory, held_equal, regime

MOST_ROWS = 10
"""Arms that a screen of 1280 x 800 holds with the controls."""
VERDICTS = ("helps", "hurts", "equivalent", "failed", "undecided")
"""The order in which the headline names them."""
_MOST_NAMES, _MOST_FLIPS = 4, 2
_SINGULAR = {"helps": "helps", "hurts": "hurts", "equivalent": "makes no difference", "failed": "failed in a seed"}
_PLURAL = {"helps": "help", "hurts": "hurt", "equivalent": "make no difference", "failed": "failed in some seeds"}


def headline(verdicts: Mapping[str, str], margin: float, alone: str = "") -> str:
    """Arm -> verdict, as a sentence: 'curriculum and tta help; residual makes no difference beyond 0.005; 2 are undecided.'

    Args:
        alone: what to say of base without any arm: what its controls show.
    """
    parts = []
    for kind in VERDICTS:
        names = [shorten(name, 40) for name, one in verdicts.items() if one == kind]
        many = len(names) > 1
        who = f"{len(names)} of {len(verdicts)} arms" if len(names) > _MOST_NAMES else and_(names) if names else ""
        if names and kind == "undecided":
            parts.append(f"{len(names)} of {len(verdicts)} arms {'are' if many else 'is'} undecided")
        elif names:
            parts.append(
                f"{who} {(_PLURAL if many else _SINGULAR)[kind]}" + (f" beyond {margin:g}" if kind == "equivalent" else "")
            )
    return f"{'; '.join(parts) or alone or 'Nothing can be compared'}."


def and_(names: Sequence[str]) -> str:
    """'a, b and c'."""
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


def reference_row(method: Method, metric: str) -> Effect:
    """The reference: its mean with the interval, and its seeds."""
    found = method.estimate(metric)
    text = f"{cells.mean(found, 4).text} {cells.spread(found, 4).text}".removesuffix(f" {cells.NONE}")
    return Effect(shorten(method.label, 60), text=text, sure=counted(len(method.seeds), "seed"))


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
        lines.append(f"No number of seeds can be named for {and_(vague[:_MOST_NAMES])}.")
    if failed := [shorten(name, 40) for name, one in there if one.excluded]:
        lines.append(f"A verdict on {and_(failed[:_MOST_NAMES])} needs the failed seeds explained or repeated.")
    return lines or ["Nothing is left to decide at this margin."]


@dataclass(frozen=True)
class Row:
    """A comparison of the first screen, with the rows of the table that it sets against each other."""

    name: str
    comparison: Comparison
    method: Method | None
    reference: Method | None


def rows_of(main: Group) -> list[Row]:
    """Every arm against base, those without any run among them; for leave-one-out, the plan's contrasts. No controls."""
    methods = {method.label: method for method in main.methods}
    asked = {one["name"]: one for one in (main.plan.question.get("contrasts") or ())} if main.plan else {}
    if main.plan and any(one["reference"] != main.plan.reference for one in asked.values()):
        there = [(one, asked[one.name]) for one in main.contrasts]
        return [Row(one.name, one, methods.get(of["treated"]), methods.get(of["reference"])) for one, of in there]
    checks = {check.name for check in main.controls}
    order = [name for name in methods if name in main.comparisons]
    names = [name for name in (*order, *(name for name in main.comparisons if name not in methods)) if name not in checks]
    return [Row(name, main.comparisons[name], methods.get(name), main.reference) for name in names]


def answer(main: Group, found: Records, missing: Sequence[Trouble], copies: Sequence[Comparison]) -> Answer:
    """The first screen of a store's first table.

    Args:
        copies: the A/A plans that ran.
    """
    metric = title_of(main)
    rows = rows_of(main)
    planned_rows = {cell.label for cell in main.plan.cells} if main.plan else {row.name for row in rows}
    outside = {row.name for row in rows if row.name in main.exploratory and row.name not in planned_rows}
    called = {row.name: row.name for row in rows} | _together(rows)
    planned = {called[row.name]: row.comparison for row in rows if row.name not in outside}
    effects = [_effect(main, row, called[row.name], row.name in outside) for row in _first(rows)]
    if main.reference is not None:
        effects.insert(0, reference_row(main.reference, main.metric))
    open_ = [row for row in rows if row.comparison.verdict.kind.value == "undecided" and row.reference is main.reference]
    most = max((row.comparison.verdict.seeds_needed or 0 for row in open_), default=0)
    names = installable(row.name for row in open_ if row.method is None or not row.method.first.scored)
    equal = () if main.match == "steps" else ("--equal", main.match)
    commands = []
    if names and 0 < most <= 1000:
        commands.append(plan_command(main, ",".join([main.first.variant, *names]), *equal, seeds=range(most)))
    more = len(rows) + (main.reference is not None) - len(effects)
    base = f" over {shorten(main.reference.label, 40)}" if main.reference and all(map(_against_base(main), rows)) else ""
    held = held_equal(main)
    compared = counted(len(main.contrasts) or len(rows), "comparison")
    if main.controls and not rows:
        compared = counted(len(main.controls), "control")
    setting = [
        f"Test {metric}, {'higher' if main.higher_is_better else 'lower'} is better; {main.title}",
        f"held equal: {', '.join(held)}" if held else "",
        f"{compared}, paired by seed, Holm-adjusted at 5%, margin {main.margin:g}",
    ]
    return Answer(
        headline=headline({name: one.verdict.kind.value for name, one in planned.items()}, main.margin, alone=regime(main)),
        setting=f"{'; '.join(part for part in setting if part)}."
        + (f" {more} more arms are in the tables." if more else ""),
        gain=f"gain in test {metric}{base}",
        margin=main.margin,
        effects=tuple(effects),
        controls=tuple(controls(main, found, missing, copies)),
        tradeoff=tuple(fronts(main, called)),
        remaining=tuple(remaining(planned)) if planned else (),
        commands=tuple(commands),
        higher_is_better=main.higher_is_better,
    )


def printed(made: Answer) -> Terminal:
    """The same for a terminal, and as a document."""
    controls = [{True: "passed", False: "FAILED", None: "note"}[one.passed] for one in made.controls]
    return Terminal(
        headline=made.headline,
        columns=("arm", made.gain, "verdict", "cost", "how sure"),
        rows=tuple((one.name, one.text, one.verdict, one.cost, one.sure) for one in made.effects),
        lines=(
            made.setting,
            *(f"{word}: {one.words}" for word, one in zip(controls, made.controls, strict=True)),
            *made.tradeoff,
            *made.remaining,
            *made.commands,
        ),
        document={name: value for name, value in asdict(made).items() if name != "gain"},
    )


def _against_base(main: Group) -> Callable[[Row], bool]:
    return lambda row: row.reference is main.reference


def _effect(main: Group, row: Row, name: str, outside: bool) -> Effect:
    cost = cost_words(row.reference, row.method) if row.method else ""
    if differs := (main.plan.question.get("differs") or {}).get(row.name) if main.plan else None:
        cost = "; ".join(part for part in (cost, f"differs: {', '.join(map(str, differs[:3]))}") if part)
    made = effect(row.comparison, name, 4, cost)
    return replace(made, sure=f"{made.sure}; exploratory") if outside else made


def _together(rows: Sequence[Row]) -> dict[str, str]:
    """The composition of all the ideas, by a name that is read at once."""
    single = {row.name.removesuffix(" with the others") for row in rows if "+" not in row.name}
    return {row.name: "all together" for row in rows if len(single) > 1 and set(row.name.split("+")) == single}


def _first(rows: Sequence[Row]) -> list[Row]:
    """Each idea alone and the largest composition, where there are too many for a screen."""
    if len(rows) <= MOST_ROWS:
        return list(rows)
    single = [row for row in rows if "+" not in row.name]
    largest = sorted((row for row in rows if "+" in row.name), key=lambda row: -row.name.count("+"))[:1]
    return [*single[: MOST_ROWS - len(largest)], *largest]


def fronts(main: Group, called: Mapping[str, str]) -> list[str]:
    """Who is not beaten in the metric and a cost at once, by each cost, as a sentence. `called`: row -> its name on the screen."""
    words = front_words({cost: [called.get(name, name) for name in front(main, cost)] for cost in FRONTS})
    return [words] if words else []


def controls(main: Group, found: Records, missing: Sequence[Trouble], copies: Sequence[Comparison]) -> list[Control]:
    """Whether pure noise raises an alarm, everything beats a blank frame, and everything planned is there."""
    lines = _planned_controls(main)
    plans, alarms = len(copies), false_verdicts(copies)
    if not plans:
        lines += [] if lines else [Control(None, "A/A (base against itself): not run")]
    elif alarms:
        lines.append(Control(False, f"A/A (base against itself): {alarms} of {plans} raised a false alarm"))
    else:
        lines.append(Control(True, f"A/A (base against itself): no alarm in {counted(plans, 'plan')}"))
    if (beats := learnt(main)) is not None:
        lines.append(beats)
    lines.append(all_there(len(main.runs), found, missing))
    if len(main.devices) > 1:
        lines.append(Control(False, f"{len(main.devices)} devices: times are not comparable"))
    return [*lines, *_other_metrics(main), _as_planned(main)]


def false_verdicts(copies: Sequence[Comparison]) -> int:
    """A/A plans that call a copy better or worse."""
    return sum(one.verdict.kind in (Kind.HELPS, Kind.HURTS) for one in copies)


def all_there(count: int, found: Records, missing: Sequence[Trouble]) -> Control:
    """Whether `count` runs are all that were planned."""
    damaged = [one for one in found.troubles if one.status in ("failed", "damaged")]
    lost = len({one.where for one in (*missing, *damaged)})
    words = f"{counted(lost, 'run')} missing, failed or damaged" if lost else f"all {counted(count, 'run')} finished"
    return Control(not lost, words)


def learnt(main: Group) -> Control | None:
    """To which frame every metric's mean beats the blank frame; None where no frame was measured."""
    frames: dict[int, list[str]] = {}
    checks = {check.name for check in main.controls}
    found = [one for one in above_blank(main) if one.name not in checks]
    if not all(one.frames for one in found):
        return None
    called = _together(rows_of(main))
    for one in found:
        frames.setdefault(one.every, []).append(shorten(called.get(one.name, one.name), 40))
    horizon = found[0].horizon
    blank = f"the blank frame ({METRICS[HEADLINE].title} {main.baseline('blank').get(HEADLINE, math.nan):.4f})"
    if set(frames) == {horizon}:
        return Control(True, f"every metric beats {blank} in all {horizon} frames")
    least, *others = sorted(frames)
    parts = [f"{f'the first {least} of {horizon}' if least else 'none'} ({_some(frames[least])})"]
    if others:
        rest = [name for last in others for name in frames[last]]
        upto = f"{others[0]}" if len(others) == 1 else f"{others[0]} to {others[-1]}"
        parts.append(f"the first {upto} ({_some(rest)})")
    return Control(False if 0 in frames else None, f"frames in which every metric beats {blank}: {'; '.join(parts)}")


def _other_metrics(main: Group) -> list[Control]:
    """Whether the metrics that do not decide say the same."""
    others = secondary(main)
    if not others or not judged(main):
        return []
    claims = {Kind.HELPS, Kind.HURTS}
    apart = [one for one in flips(main, others) if claims & set(one.verdicts.values())]
    exploratory = "" if main.decided is None else " (exploratory but for the judged one)"
    if len(apart) > _MOST_FLIPS:
        turned = [shorten(one.name, 40) for one in apart if one.turned]
        names = f": {and_([shorten(one.name, 40) for one in apart])}" if len(apart) <= _MOST_NAMES else ""
        words = f"{len(apart)} of {len(judged(main))} verdicts depend on the metric{names} (see 'Verdicts by every metric')"
        opposite = f"; opposite claims: {and_(turned[:_MOST_NAMES])}" if turned else ""
        return [Control(False if turned else None, f"{words}{opposite}{exploratory}")]
    lines = [Control(False if one.turned else None, f"{one.words}{exploratory}") for one in apart]
    return lines or [Control(True, f"{counted(len(others), 'other metric')} give the same verdicts{exploratory}")]


def _as_planned(main: Group) -> Control:
    """Whether the question was asked before the runs, and nothing departs from it."""
    why = exploratory(main)
    if main.plan is None or not main.plan.question:
        return Control(None, "exploratory: no plan asked before the first run")
    digest = main.plan.question["digest"]
    words = f"exploratory: {shorten('; '.join(why), 160)} (plan {digest})" if why else f"as plan {digest} asked beforehand"
    return Control(None if why else True, words)


def _some(names: Sequence[str]) -> str:
    return and_(names) if len(names) <= _MOST_NAMES else f"{counted(len(names), 'arm')}"


def _planned_controls(main: Group) -> list[Control]:
    """Those that passed in one line, 'as they must: base(training.steps=900) hurts (-0.0380); ...', then each of the others.

    With what the plan's seeds detect: so a reader knows whether the regime can tell arms apart.
    """
    lines, passed = [], []
    for one, must, right in checked_controls(main):
        run = f"{one.n} of {control_seeds(main, one.name)} seeds run" if one.n else "not run"
        found = f"{shorten(one.name, 40)} {run if right is None else one.verdict.kind.value}"
        found += "" if one.mean is None else f" ({one.mean:+.4f})"
        if right:
            passed.append(found if must in ("helps", "hurts") else f"{found}, so not called")
            continue
        wanted = {"helps": "must help", "hurts": "must hurt"}.get(must, "must not be called")
        lines.append(Control(right, f"{found}, {wanted}"))
    if passed:
        lines.insert(0, Control(True, f"as {'they' if passed[1:] else 'it'} must: {'; '.join([*passed, *_detected(main)])}"))
    return lines


def _detected(main: Group) -> list[str]:
    """'5 seeds detect a gain of 0.0077 with 80% power': as the plan's differences scatter; without contrasts, as the null does."""
    asked = main.plan.question if main.plan else {}
    null = [one for one, must, _ in checked_controls(main) if must == Kind.EQUIVALENT.value]
    family = [one for one in judged(main) or null if one.method == "paired" and one.sd and not one.excluded]
    if not family or asked.get("seed_rule", "fixed") != "fixed" or main.test != "t":
        return []  # other boundaries and other tests have another power
    sd, seeds = math.sqrt(sum((one.sd or 0) ** 2 for one in family) / len(family)), min(one.n for one in family)
    found = reach(Noise(sd, seeds, ""), seeds, len(judged(main)) or 1, main.margin)
    return [f"{found.seeds} seeds detect a gain of {found.gain:.2g} with {POWER:.0%} power"] if found else []
