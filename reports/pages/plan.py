"""The plan in words: what was asked before the first run, what departs from it, and whether the controls passed."""

from __future__ import annotations

from reports.analysis.comparisons import Comparison
from reports.analysis.groups import Group
from reports.analysis.verdicts import Kind
from reports.analysis.words import listed, shorten


def plan_words(group: Group) -> list[str]:
    """The plan's question and digest; departures; controls."""
    plan = group.plan
    if plan is None:
        return ["Exploratory: no plan made these runs, so every row of the table is in one family."]
    lines = []
    if plan.question:
        source = plan.question.get("margin_from")
        held = ", ".join(held_equal(group))
        lines.append(f"Plan {plan.question['digest']}, written before its first run: {plan.question.get('question')}")
        lines.append(
            f"Margin {plan.question['margin']:g}: {source}. Family: {len(group.contrasts)} comparisons, Holm at 5%. "
            f"Held equal and checked: {held or 'nothing'}."
        )
        for arm, found in sorted((plan.question.get("differs") or {}).items()):
            lines.append(f"{shorten(str(arm), 80)} differs beside its idea: {'; '.join(map(str, found[:8]))}.")
    return [*lines, *(f"Exploratory: {one}." for one in exploratory(group)), *control_words(group)]


def held_equal(group: Group) -> list[str]:
    """What was checked to be equal in all arms but the controls, which differ on purpose; empty without a question."""
    asked = group.plan.question if group.plan else {}
    held = [str(one) for one in asked.get("held_equal") or ()]
    if set(asked.get("differs") or ()) <= set(asked.get("controls") or ()) and asked.get("budget"):
        held = [str(asked["budget"]), *(one for one in held if one != asked["budget"])]
    return held


def exploratory(group: Group) -> list[str]:
    """Why the verdicts are not confirmatory, if they are not."""
    plan = group.plan
    if plan is None:
        return []
    why = list(plan.exploratory)
    if plan.question and group.margin != plan.question["margin"]:
        why.append(f"the margin was set to {group.margin:g} afterwards")
    seeds = {cell.seed for cell in plan.cells}
    extra = sorted(
        {seed for method in group.methods if method.label not in group.exploratory for seed in method.seeds} - seeds
    )
    if extra:
        why.append(f"seeds {listed(extra)} lie in the store and are not the plan's: they are in means, not in verdicts")
    if plan.question and (others := set(group.exploratory) - {cell.label for cell in plan.cells}):
        why.append(f"not in the plan's family: {', '.join(shorten(name, 60) for name in sorted(others)[:10])}")
    return why


def checked_controls(group: Group) -> list[tuple[Comparison, str, bool | None]]:
    """The plan's controls: each with the verdict that it must get, and whether it did; None while seeds of it are not run.

    A null passes when it is not called.
    """
    wanted = (group.plan.question.get("controls") or {}) if group.plan else {}
    found = []
    for one in group.controls:
        kind, must = one.verdict.kind, str(wanted[one.name])
        passed = kind in (Kind.EQUIVALENT, Kind.UNDECIDED) if must == Kind.EQUIVALENT.value else kind.value == must
        found.append((one, must, passed if one.n + len(one.excluded) >= control_seeds(group, one.name) else None))
    return found


def control_seeds(group: Group, name: str) -> int:
    """Of how many seeds the plan asks a control."""
    return max(1, sum(cell.label == name for cell in group.plan.cells)) if group.plan else 1


def regime(group: Group) -> str:
    """What the plan's controls say of the regime: 'The regime passed its controls'; '' without controls."""
    found = checked_controls(group)
    if not found:
        return ""
    if any(passed is None for *_, passed in found):
        return "The controls are not all run, so it is not shown that the regime can tell arms apart"
    if all(passed for *_, passed in found):
        return "The regime passed its controls"
    return "The regime failed its controls, so its verdicts mean little"


def control_words(group: Group) -> list[str]:
    """'The regime passed its controls: ...', or which control failed."""
    words = [
        f"{one.name} {one.verdict.words} ({'as it must' if passed else f'must be {must}'})"
        for one, must, passed in checked_controls(group)
    ]
    return [f"{regime(group)}: {'; '.join(words)}."] if words else []
