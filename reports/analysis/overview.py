"""What a whole store says, before it is put into words: the main table, those of equal cost, and variations of base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.ablation.plan import REFERENCE
from reports.analysis import auto, settings
from reports.analysis import groups as grouping
from reports.analysis.comparisons import MARGIN
from reports.analysis.groups import MATCHES, Context, Group, Method
from reports.analysis.records import PlanRecord, Records, RunRecord
from reports.analysis.settings import Settings
from reports.analysis.words import compact, distinct, shorten


@dataclass(frozen=True)
class Analysis:
    """Everything the report is about.

    `groups` are the tables of equal steps, the most complete first; `matched` those of equal seconds and operations, in which
    the budget may differ; `losses` and `rates` hold variations of the first group's reference; `rest` are single rows with
    other settings.
    """

    groups: tuple[Group, ...]
    matched: tuple[Group, ...]
    losses: Group | None
    rates: Group | None
    rest: tuple[Group, ...]
    warnings: tuple[str, ...]

    @property
    def matched_by_id(self) -> list[tuple[Group, str]]:
        """The matched groups, each with the end of its tables' ids: 'seconds', 'flops', 'seconds-2'."""
        found: list[tuple[Group, str]] = []
        for index, group in enumerate(self.matched):
            earlier = sum(one.match == group.match for one in self.matched[:index])
            found.append((group, f"{group.match}-{earlier + 1}" if earlier else group.match))
        return found


def analyse(records: Records, given: float | None = None) -> Analysis:
    """Groups all runs of a store and compares what may be compared, by the plans that made the runs.

    Args:
        given: a margin that replaces those of the plans.
    """
    margin = MARGIN if given is None else given
    names = _Names(records)
    elsewhere = _copies(records.plans) | names.arms(records.plans)
    plain = [run for run in records.runs if run.run_id not in elsewhere] + names.of_plans(records.plans)
    warnings: list[str] = []
    in_matched, matched = _matched_groups(records.plans, names, margin, warnings)
    # A cell of an equal-cost plan has a budget of its own, so it stands alone here: its place is in the plan's table.
    groups = [
        group
        for group in grouping.grouped(plain, margin, warnings)
        if not ((_lonely(group) or group.reference is None) and all(run.run_id in in_matched for run in group.runs))
    ]
    groups = [group.planned(records.plans, given) for group in groups]
    matched = [group.planned(records.plans, given) for group in matched]
    groups = [auto.decided(group, _with_match(records.plans, "steps", "parameters"), warnings) for group in groups]
    matched = [auto.decided(group, _with_match(records.plans, group.match), warnings) for group in matched]
    groups.sort(key=lambda group: group.completeness)
    main = groups[0] if groups else None
    tables: list[Group] = []
    rest: list[Group] = []
    variations: dict[str, list[Group]] = {"losses": [], "rates": []}
    for group in groups:
        kind = _kind(main, group)
        if group is main or not _lonely(group):
            tables.append(group)
        elif kind is not None and not group.others:
            variations[kind].append(group)
        else:
            rest.append(group)
    # A full ablation with another loss is a table of its own, and its base belongs into the loss table as well.
    for group in tables[1:]:
        if (kind := _kind(main, group)) is not None:
            variations[kind].append(group)
    warnings += [_why_apart(tables[0], group) for group in tables[1:]]
    return Analysis(
        tuple(tables),
        tuple(matched),
        _variations(main, variations["losses"], settings.loss_words, _losses(main)),
        _variations(main, variations["rates"], settings.rate_words),
        tuple(rest),
        tuple(distinct(warnings)),
    )


def _with_match(plans: Sequence[PlanRecord], *matches: str) -> list[PlanRecord]:
    return [plan for plan in plans if plan.match in matches]


class _Names:
    """Two names can mean one experiment, of which the store keeps one run under the name that it was first asked for by.

    Test-time augmentation with one view is base; `harness run --set training.steps=3` is a base, and a plan's half the training.
    """

    def __init__(self, records: Records) -> None:
        self.by_id = records.by_id
        self._changes: dict[str, tuple[str, ...]] = {}
        for run in records.runs:
            self._changes.setdefault(run.variant, run.changes)

    def named(self, run: RunRecord, variant: str, plan: PlanRecord) -> RunRecord:
        """The run under the name that a plan knows it by."""
        if variant == run.variant:
            return run
        changes = () if variant == REFERENCE else self._changes.get(variant)
        if changes is None:
            changes = self._beside_base(run, plan)
        return replace(run, variant=variant, changes=changes)

    def _beside_base(self, run: RunRecord, plan: PlanRecord) -> tuple[str, ...]:
        """The settings in which a run differs from the plan's reference; those of its record before that has run."""
        ids = (cell.run_id for cell in plan.cells if cell.variant == plan.reference and cell.run_id in self.by_id)
        base = self.by_id.get(next(ids, None) or "")
        if base is None:
            return run.changes
        apart = grouping.differences(grouping.context_of(base), grouping.context_of(run))
        return tuple(path for path in apart if path in base.settings or path in run.settings)

    def of_plans(self, plans: Sequence[PlanRecord]) -> list[RunRecord]:
        """The runs that plans with equal steps know by another name than the record's."""
        found: dict[tuple[str, str], RunRecord] = {}
        for plan in (plan for plan in plans if plan.match == "steps"):
            for cell in (cell for cell in plan.cells if cell.label == cell.variant):
                run = self.by_id.get(cell.run_id or "")
                if run is not None and cell.variant != run.variant:
                    found[run.run_id, cell.variant] = self.named(run, cell.variant, plan)
        return list(found.values())

    def arms(self, plans: Sequence[PlanRecord]) -> set[str]:
        """The runs recorded as base that plans know as arms alone: as bases they would be references of tables without arms."""
        cells = [(plan, cell, self.by_id[cell.run_id]) for plan in plans for cell in plan.cells if cell.run_id in self.by_id]
        own = {run.run_id for _, cell, run in cells if cell.variant == run.variant}
        return {run.run_id for plan, _, run in cells if run.variant == plan.reference} - own


def _copies(plans: Sequence[PlanRecord]) -> set[str]:
    """The runs that exist only as renamed copies of base in an A/A plan: they would give base seeds that no other has."""
    copies: set[str] = set()
    proper: set[str] = set()
    for plan in plans:
        for cell in plan.cells:
            if cell.run_id is not None:
                (proper if cell.label == cell.variant else copies).add(cell.run_id)
    return copies - proper


def _matched_groups(
    plans: Iterable[PlanRecord], names: _Names, margin: float, warnings: list[str]
) -> tuple[set[str], list[Group]]:
    """The tables of equal seconds and equal operations, from the plans that made them."""
    members: dict[tuple[str, str], dict[tuple[str, str], RunRecord]] = defaultdict(dict)
    contexts: dict[tuple[str, str], Context] = {}
    seen: set[str] = set()
    for plan in plans:
        if plan.match == "steps" or plan.match not in MATCHES:
            continue
        cells = [
            (cell, names.named(names.by_id[cell.run_id], cell.variant, plan))
            for cell in plan.cells
            if cell.run_id is not None and cell.run_id in names.by_id and cell.label == cell.variant
        ]
        base = next((grouping.context_of(run) for cell, run in cells if cell.variant == plan.reference), None)
        seen |= {run.run_id for cell, run in cells if cell.variant != plan.reference}
        if base is None:
            warnings.append(
                f"a plan with {MATCHES[plan.match]} has no finished {shorten(plan.reference)}; it gives no table"
            )
            continue
        key = plan.match, compact(base)
        contexts[key] = base
        for cell, run in cells:
            if what := grouping.differences(base, grouping.context_of(run), settings.BUDGET | set(run.changes)):
                warnings.append(
                    f"{shorten(cell.label)} seed {cell.seed} is left out of {MATCHES[plan.match]}: {', '.join(what)}"
                )
                continue
            members[key][run.run_id, cell.variant] = run
    groups = [
        grouping.make_group(key[0], contexts[key], list(runs.values()), margin, warnings) for key, runs in members.items()
    ]
    return seen, sorted(groups, key=lambda group: (list(MATCHES).index(group.match), group.completeness))


def _lonely(group: Group) -> bool:
    return len(group.methods) == 1


def _kind(main: Group | None, group: Group) -> str | None:
    """'losses' or 'rates' where a group's reference differs from the first group's in these settings alone."""
    what = grouping.differences(main.context, group.context) if main else []
    if main is None or group.reference is None or not what:
        return None
    if settings.is_loss(what):
        return "losses"
    return "rates" if settings.is_rate(what, [main.first.settings, group.first.settings]) else None


def _losses(main: Group | None) -> list[Method]:
    """Arms of the first group that change the loss alone, such as base(loss=mse)."""
    others = [] if main is None else main.others
    return [one for one in others if one.first.changes and settings.is_loss(one.first.changes)]


def _variations(
    main: Group | None, groups: Sequence[Group], words: Callable[[Settings], str], arms: Sequence[Method] = ()
) -> Group | None:
    """Variations of the first group's reference, and arms of it, as rows of one group, compared with it."""
    if main is None or main.reference is None:
        return None
    reference, *others = (_row(group.reference, words) for group in (main, *groups) if group.reference is not None)
    others += [_row(one, words) for one in arms]
    rows: Mapping[str, Method] = {method.label: method for method in others}
    methods = (reference, *(rows[name] for name in sorted(rows)))
    return Group("steps", main.context, methods, reference, main.margin).compared()


def _row(method: Method, words: Callable[[Settings], str]) -> Method:
    return Method(words(method.first.settings), method.variant, method.runs)


def _why_apart(main: Group, group: Group) -> str:
    what = [grouping.difference_words(name, main.context, group.context) for name in grouping.varied(main, group)]
    return f"not put in one table: {'; '.join(what[:6])}{f'; and {len(what) - 6} more' if len(what) > 6 else ''}"
