"""Which runs may stand in one table.

Runs are comparable when they agree in everything but what a variant changes and the seed: test set, conventions of the
metrics, revision of the training, data, and all other settings, the budget among them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from harness.ablation.auto import Decision, SeedRule
from harness.ablation.plan import REFERENCE
from harness.evaluation.conventions import HEADLINE
from reports.analysis import families, settings
from reports.analysis.comparisons import MARGIN, Comparison, compare_all
from reports.analysis.estimates import Estimate, estimate
from reports.analysis.records import BASELINES, MetricInfo, PlanRecord, RunRecord
from reports.analysis.settings import FILES, SEED
from reports.analysis.words import compact, distinct, number, shorten

MATCHES = {"steps": "equal steps", "seconds": "equal seconds", "flops": "equal operations", "parameters": "equal parameters"}
_ABSENT = "not recorded"
_PLURALS = {"test set": "test sets", "digits": "sets of digits", "training revision": "training revisions"}

Context = dict[str, str]
"""What a run's comparability rests on: name of a setting or fact -> its value as JSON text."""


@dataclass(frozen=True)
class Method:
    """A row: one variant, or composition, in one definition, with its runs by seed."""

    label: str
    variant: str
    runs: Mapping[int, RunRecord]
    _estimates: dict[str, Estimate] = field(default_factory=dict, compare=False, repr=False)

    @property
    def seeds(self) -> list[int]:
        """All seeds, ascending."""
        return sorted(self.runs)

    @property
    def first(self) -> RunRecord:
        """The run of the lowest seed."""
        return self.runs[min(self.runs)]

    def values(self, metric: str = HEADLINE) -> dict[int, float]:
        """Seed -> test metric; NaN where a run gave none."""
        return {seed: self.runs[seed].metric(metric) for seed in self.seeds}

    def numbers(self, attribute: str) -> dict[int, float]:
        """Seed -> a number of the run, such as 'seconds' or 'params'."""
        return {seed: float(getattr(self.runs[seed], attribute)) for seed in self.seeds}

    def estimate(self, metric: str = HEADLINE) -> Estimate:
        """The metric's mean over seeds with its interval."""
        return self._estimate(metric, self.values(metric))

    def estimate_number(self, attribute: str) -> Estimate:
        """The same for a number of the run."""
        return self._estimate(attribute, self.numbers(attribute))

    def _estimate(self, name: str, values: Mapping[int, float]) -> Estimate:
        if name not in self._estimates:
            self._estimates[name] = estimate(values)
        return self._estimates[name]

    def time_ratio(self, reference: Method | None) -> float | None:
        """Training time relative to the reference: the geometric mean over common seeds, as `costs.ratios` has it with interval."""
        own, other = self.numbers("seconds"), reference.numbers("seconds") if reference else {}
        logs = [math.log(own[seed] / other[seed]) for seed in own if seed in other and own[seed] > 0 and other[seed] > 0]
        mean = math.fsum(logs) / len(logs) if logs else math.nan
        return math.exp(mean) if math.isfinite(mean) else None


@dataclass(frozen=True)
class Decided:
    """A rule of seeds and the decisions that it came to."""

    rule: SeedRule
    decisions: tuple[Decision, ...]


@dataclass(frozen=True)
class Group:
    """Runs that may stand in one table. The reference, if it is there, is the first of `methods`."""

    match: str
    context: Context
    methods: tuple[Method, ...]
    reference: Method | None
    margin: float = MARGIN
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """Label -> the metric minus the reference's at the same seed. Rows of the plan: adjusted over its family, failed arms among
    them. Other rows are exploratory: adjusted over all rows of the table."""
    decided: Decided | None = None
    """The rule of seeds that gave the verdicts of some arms; see `reports.analysis.auto`."""
    metric: str = HEADLINE
    higher_is_better: bool = True
    plan: PlanRecord | None = None
    contrasts: tuple[Comparison, ...] = ()
    """The plan's family."""
    controls: tuple[Comparison, ...] = ()
    exploratory: tuple[str, ...] = ()
    """Labels of the rows that are in no plan's family."""
    test: str = "t"
    """The plan's test; see `Comparison.test`."""
    kept: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What was worked out of this group before, by name."""

    @property
    def first(self) -> RunRecord:
        """The first row's run of the lowest seed: the reference's, if there is one."""
        return self.methods[0].first

    @property
    def others(self) -> list[Method]:
        """All methods but the reference."""
        return [method for method in self.methods if method is not self.reference]

    @cached_property
    def runs(self) -> list[RunRecord]:
        """All runs, by row and seed."""
        return [method.runs[seed] for method in self.methods for seed in method.seeds]

    @cached_property
    def seeds(self) -> list[int]:
        """Every seed that any row has."""
        return sorted({seed for method in self.methods for seed in method.runs})

    @cached_property
    def more_metrics(self) -> list[MetricInfo]:
        """The metrics beside the built-in ones, where every run that has one computed it alike."""
        found: dict[str, set[MetricInfo]] = {}
        for run in self.runs:
            for one in run.measured:
                found.setdefault(one.name, set()).add(one)
        return [next(iter(same)) for _, same in sorted(found.items()) if len(same) == 1]

    @cached_property
    def devices(self) -> list[str]:
        """The devices that the runs were trained on."""
        return distinct(run.device for run in self.runs if not run.scored)

    @property
    def budget(self) -> str:
        """The budget: '1000 steps', '600 s of training'; for matched plans 'equal seconds (base: 1000 steps)'."""
        words = settings.budget_words(self.first.settings)
        return words if self.match == "steps" else f"{MATCHES[self.match]} (base: {words})"

    @property
    def equal(self) -> str:
        """What every row got as much of: 'equal steps'; 'equal seconds' also where the budget itself is in seconds."""
        match = (
            "seconds" if self.match == "steps" and self.first.settings.get("training.seconds") is not None else self.match
        )
        return MATCHES[match]

    @property
    def precision(self) -> str:
        """The arithmetic of the training."""
        return number(self.first.settings.get(settings.PRECISION))

    @property
    def title(self) -> str:
        """Preset, budget and test set in a few words."""
        return f"preset {shorten(self.first.preset)}, {self.budget}, {self.precision}, test set {self.first.test_digest[:8]}"

    @property
    def completeness(self) -> tuple[bool, int, int, str]:
        """Sorts the most complete first: with a reference and others, then by runs, then by rows."""
        full = self.reference is not None and bool(self.others)
        return not full, -sum(len(method.runs) for method in self.methods), -len(self.methods), compact(self.context)

    @property
    def baselines(self) -> dict[str, str]:
        """The baselines that this group was tested beside, and what they are called."""
        return {name: words for name, words in BASELINES.items() if name in self.first.baselines}

    def baseline(self, name: str) -> dict[str, float]:
        """The metrics of a baseline on this group's test set."""
        return self.first.baselines[name]

    def compared(self) -> Group:
        """The group with its comparisons, each row's with the reference, all adjusted together."""
        if self.reference is None or not self.others:
            return self
        treated = {method.label: method.values(self.metric) for method in self.others}
        base, better = self.reference.values(self.metric), self.higher_is_better
        found = compare_all(base, treated, margin=self.margin, higher_is_better=better, test=self.test)
        return replace(self, comparisons={one.name: one for one in found}, exploratory=tuple(treated))

    def planned(self, plans: Iterable[PlanRecord], margin: float | None = None) -> Group:
        """The group judged by the plan that made it: its metric, margin, family and seeds. `margin` replaces the plan's."""
        plan = families.plan_of(self.runs, self.match, plans)
        if plan is None or self.reference is None or self.reference.variant != plan.reference:
            return self
        asked = plan.question
        better, metric = bool(asked.get("higher_is_better", True)), str(asked.get("metric", HEADLINE))
        limit = float(asked.get("margin", self.margin)) if margin is None else margin
        test = families.test_of(plan)
        same = (self.metric, self.higher_is_better, self.margin, self.test) == (metric, better, limit, test)
        whole = self
        if not same:
            whole = replace(self, metric=metric, higher_is_better=better, margin=limit, test=test).compared()
        family = tuple(families.contrasts(self.runs, plan, metric, limit, better))
        controls = tuple(families.controls(self.runs, plan, metric, limit, better))
        rows = {one["name"] for one in asked.get("contrasts", ()) if one["reference"] != plan.reference}
        judged = {one.name: one for one in (*family, *controls) if one.name not in rows}
        outside = tuple(name for name in whole.comparisons if name not in judged)
        return replace(
            whole,
            plan=plan,
            contrasts=family,
            controls=controls,
            comparisons=dict(whole.comparisons) | judged,
            exploratory=outside,
        )


def context_of(run: RunRecord) -> Context:
    """All that must agree between runs of one table, but for what their variants change and extra metrics.

    Predictions made elsewhere have no training to agree in: their test sequences and what is shown of them must.
    """
    conventions = {f"metric convention of {name}": value for name, value in run.conventions.items()}
    if run.scored:
        shown = {path: compact(run.settings.get(path)) for path in settings.FRAMES}
        return {"test set": run.test_digest, **conventions, **shown}
    found = {
        "test set": run.test_digest,
        "training revision": run.revision,
        "digits": run.digits.get("digest", _ABSENT),
        **{f"data content ({name})": value for name, value in run.identity.items()},
        **conventions,
    }
    for path, value in run.settings.items():
        if not _free(path) and (text := compact(value)) != settings.NEUTRAL.get(path):
            found[path] = text
    return found


@cache
def _free(path: str) -> bool:
    return covered(path, (SEED, *FILES, "metrics"))


def differences(a: Context, b: Context, ignore: Iterable[str] = ()) -> list[str]:
    """The names that two contexts disagree in."""
    skip = set(ignore)
    return sorted({name for name, _ in a.items() ^ b.items() if not covered(name, skip)})


def covered(path: str, changes: Collection[str]) -> bool:
    """Whether a setting is one of those that are changed, or belongs to a component that is."""
    while path not in changes:
        path, dot, _ = path.rpartition(".")
        if not dot:
            return False
    return True


def grouped(runs: Sequence[RunRecord], margin: float, warnings: list[str]) -> list[Group]:
    """Each distinct context of a run without changes is a group; runs with changes join those they agree with elsewhere.

    Predictions made elsewhere join every group with their test sequences.
    """
    scored = [run for run in runs if run.scored]
    runs = [run for run in runs if not run.scored]
    contexts = {run.run_id: context_of(run) for run in runs}
    changeable = {path for run in runs for path in run.changes}
    free = cache(lambda name: covered(name, changeable))

    def fixed(run: RunRecord) -> Hashable:
        return frozenset(one for one in contexts[run.run_id].items() if not free(one[0]))

    buckets: dict[Hashable, list[RunRecord]] = defaultdict(list)
    for run in runs:
        buckets[fixed(run)].append(run)
    gathered: list[tuple[Context, list[RunRecord]]] = []
    for bucket in buckets.values():
        homes: dict[str, Context] = {}
        for run in bucket:
            if not run.changes:
                homes.setdefault(compact(contexts[run.run_id]), contexts[run.run_id])
        members: dict[str, list[RunRecord]] = {key: [] for key in homes}
        orphans: dict[Hashable, list[RunRecord]] = defaultdict(list)
        for run in bucket:
            own = contexts[run.run_id]
            joined = [key for key, context in homes.items() if not differences(context, own, run.changes)]
            for key in joined:
                members[key].append(run)
            if not joined:  # no base was run like this; what does not change anything here must still agree
                orphans[fixed(run)].append(run)
        gathered += [(homes[key], group) for key, group in members.items()]
        gathered += [(contexts[group[0].run_id], group) for group in orphans.values()]
    for run in scored:
        own = context_of(run)
        tables = [members for context, members in gathered if own.items() <= context.items()]
        for table in tables:
            table.append(run)
        if not tables:
            gathered.append((own, [run]))
    return [make_group("steps", context, group, margin, warnings) for context, group in gathered]


def make_group(match: str, context: Context, runs: Sequence[RunRecord], margin: float, warnings: list[str]) -> Group:
    """The group of comparable runs, its rows sorted and compared. What had to be decided is added to `warnings`."""
    rows: dict[tuple[str, str], dict[int, RunRecord]] = defaultdict(dict)
    changed = cache(covered)
    for run in runs:
        definition = compact({path: value for path, value in run.settings.items() if changed(path, run.changes)})
        used = rows[run.variant, definition].setdefault(run.seed, run)
        if used.run_id != run.run_id:
            warnings.append(
                f"{shorten(run.variant)} has two runs for seed {run.seed} with equal settings ({used.run_id} and "
                f"{run.run_id}); the first is used"
            )
    names = Counter(name for name, _ in rows)
    methods = []
    for (name, definition), row in rows.items():
        label = name
        if names[name] > 1:
            label = f"{name} [{shorten(definition)}]"
            warnings.append(f"{shorten(name)} was run in {names[name]} definitions; each has a row of its own")
        methods.append(Method(label, name, dict(sorted(row.items()))))
    methods.sort(key=lambda method: (method.variant.count("+"), method.label))
    candidates = [method for method in methods if not method.first.changes]
    named = [method for method in candidates if method.variant == REFERENCE]
    reference = next(iter(named or candidates), None)
    if reference is not None:
        methods = [reference, *(method for method in methods if method is not reference)]
    return Group(match, context, tuple(methods), reference, margin).compared()


def varied(main: Group, group: Group) -> list[str]:
    """The settings and facts that two groups differ in, but for what variants change where there is no reference."""
    changed = {path for one in (main, group) if one.reference is None for run in one.runs for path in run.changes}
    return differences(main.context, group.context, changed)


def difference_title(main: Group, group: Group) -> str:
    """What sets a group apart from the first: 'training.steps 2000 (first table: 1000)'."""
    parts = [
        f"{name} {_short(name, group.context.get(name))} (first table: {_short(name, main.context.get(name))})"
        for name in varied(main, group)
    ]
    if group.reference is None:
        parts.insert(0, f"without {REFERENCE}")
    return "; ".join(parts[:4]) + (f"; and {len(parts) - 4} more" if len(parts) > 4 else "")


def difference_words(name: str, a: Context, b: Context) -> str:
    """One disagreement: 'two test sets: ab12.. and cd34..'."""
    start = f"two {_PLURALS[name]}" if name in _PLURALS else name
    return f"{start}: {_short(name, a.get(name))} and {_short(name, b.get(name))}"


def _short(name: str, value: str | None) -> str:
    if value is None:
        return _ABSENT
    if name in ("test set", "digits"):
        return f"{value[:8]}.."
    if name.startswith("data content"):
        return f"{value[:24]}.." if len(value) > 24 else value
    return shorten(value)
