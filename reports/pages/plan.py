"""The plan in words: what was asked before the first run, what departs from it, and whether the controls passed."""

from __future__ import annotations

from reports.analysis.groups import Group
from reports.analysis.verdicts import Kind
from reports.analysis.words import listed, shorten


def plan_words(group: Group, given: float | None = None) -> list[str]:
    """The plan's question and digest; departures; controls. `given` is a margin that was set after the fact."""
    plan = group.plan
    if plan is None:
        return ["Exploratory: no plan made these runs, so every row of the table is in one family."]
    lines, why = [], list(plan.exploratory)
    if plan.question:
        source = plan.question.get("margin_from")
        held = ", ".join(map(str, plan.question.get("held_equal") or ()))
        lines.append(f"Plan {plan.question['digest']}, written before its first run: {plan.question.get('question')}")
        lines.append(
            f"Margin {plan.question['margin']:g}: {source}. Family: {len(group.contrasts)} comparisons, Holm at 5%. "
            f"Held equal and checked: {held or 'nothing'}."
        )
        for arm, found in sorted((plan.question.get("differs") or {}).items()):
            lines.append(f"{shorten(str(arm), 80)} differs beside its idea: {'; '.join(map(str, found[:8]))}.")
        if given is not None and given != plan.question["margin"]:
            why.append(f"the margin was set to {given:g} afterwards")
    seeds = {cell.seed for cell in plan.cells}
    extra = sorted(
        {seed for method in group.methods if method.label not in group.exploratory for seed in method.seeds} - seeds
    )
    if extra:
        why.append(f"seeds {listed(extra)} lie in the store and are not the plan's: they are in means, not in verdicts")
    if group.exploratory and plan.question:
        why.append(f"not in the plan's family: {', '.join(shorten(name, 60) for name in group.exploratory[:10])}")
    return [*lines, *(f"Exploratory: {one}." for one in why), *_controls(group)]


def _controls(group: Group) -> list[str]:
    """'The regime passed: ...', or which control failed."""
    wanted = (group.plan.question.get("controls") or {}) if group.plan else {}
    if not wanted:
        return []
    words, passed = [], True
    for one in group.controls:
        as_wanted = one.verdict.kind.value == wanted[one.name]
        if wanted[one.name] == Kind.EQUIVALENT.value:  # a null passes when it is not called
            as_wanted = one.verdict.kind in (Kind.EQUIVALENT, Kind.UNDECIDED)
        passed = passed and as_wanted
        words.append(f"{one.name} {one.verdict.words} ({'as it must' if as_wanted else f'must be {wanted[one.name]}'})")
    start = "The regime passed its controls" if passed else "The regime failed its controls, so its verdicts mean little"
    return [f"{start}: {'; '.join(words)}."]
