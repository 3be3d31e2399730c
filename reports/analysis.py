"""Which runs may stand in one table, and what their seeds say. Pure functions on records.

Runs are comparable when they agree in everything but what a variant changes and the seed: test set, conventions of the
metrics, revision of the numerics, data, and all other settings, the budget among them. Plans with equal seconds or equal
operations give groups of their own, in which the budget may differ, and nothing else.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from harness.ablation.plan import REFERENCE
from harness.evaluation.conventions import HEADLINE
from harness.experiment import BUDGETS
from harness.presets import PRESETS
from harness.runs.request import set_options
from reports import statistics
from reports.records import SEED, PlanRecord, Records, RunRecord, distinct
from reports.statistics import Comparison, Effect, Estimate

BUDGET = frozenset(f"training.{name}" for name in BUDGETS)
LOSS_PREFIX = "loss."
RATE_PATHS = frozenset({"training.max_lr", "training.pct_start", "training.weight_decay", "training.batch_size"})
MATCHES = {"steps": "equal steps", "seconds": "equal seconds", "flops": "equal operations"}
PATHS = frozenset({"data.frames", "data.evaluation"})
"""Where data lie; what they hold is in the identity and the test digest."""
_ABSENT = "not recorded"
_MOST_SHOWN = 120
"""Characters of a value that are shown where it differs."""

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
        if metric not in self._estimates:
            self._estimates[metric] = statistics.estimate(self.values(metric))
        return self._estimates[metric]

    def estimate_number(self, attribute: str) -> Estimate:
        """The same for a number of the run."""
        if attribute not in self._estimates:
            self._estimates[attribute] = statistics.estimate(self.numbers(attribute))
        return self._estimates[attribute]


@dataclass(frozen=True)
class Group:
    """Runs that may stand in one table. The reference, if it is there, is the first of `methods`."""

    match: str
    context: Context
    methods: tuple[Method, ...]
    reference: Method | None
    margin: float = statistics.MARGIN
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """Label -> SSIM minus the reference's at the same seed, Holm-adjusted over the table."""

    @property
    def others(self) -> list[Method]:
        """All methods but the reference."""
        return [method for method in self.methods if method is not self.reference]

    @property
    def runs(self) -> list[RunRecord]:
        """All runs, by row and seed."""
        return [method.runs[seed] for method in self.methods for seed in method.seeds]

    @property
    def seeds(self) -> list[int]:
        """Every seed that any row has."""
        return sorted({seed for method in self.methods for seed in method.runs})

    @property
    def title(self) -> str:
        """Preset, budget and test set in a few words."""
        first = self.methods[0].first
        return f"preset {shorten(first.preset)}, {budget_words(self)}, {precision(first)}, test set {first.test_digest[:8]}"

    def baseline(self, name: str) -> dict[str, float]:
        """The metrics of 'blank' or 'repeat_last' on this group's test set."""
        return self.methods[0].first.baselines[name]

    def time_ratio(self, method: Method) -> float | None:
        """Training time relative to the reference: the mean over common seeds of the ratio of their seconds."""
        if self.reference is None:
            return None
        ratios = [
            method.runs[seed].seconds / self.reference.runs[seed].seconds
            for seed in method.seeds
            if seed in self.reference.runs and self.reference.runs[seed].seconds > 0
        ]
        mean = math.fsum(ratios) / len(ratios) if ratios else math.nan
        return mean if math.isfinite(mean) else None


@dataclass(frozen=True)
class Analysis:
    """Everything the report is about, before it is put into words.

    `groups` are the tables of equal steps, the most complete first; `matched` those of equal seconds and operations;
    `losses` and `rates` hold variations of the first group's reference; `rest` are single rows with other settings.
    """

    groups: tuple[Group, ...]
    matched: tuple[Group, ...]
    losses: Group | None
    rates: Group | None
    rest: tuple[Group, ...]
    warnings: tuple[str, ...]


# --- comparability


def context_of(run: RunRecord) -> Context:
    """All that must agree between runs of one table, but for what their variants change."""
    found = {
        "test set": run.test_digest,
        "numerics revision": run.numerics,
        "digits": run.digits.get("digest", _ABSENT),
        **{f"data content ({name})": value for name, value in run.identity.items()},
        **{f"metric convention of {name}": value for name, value in run.conventions.items()},
    }
    found |= {path: _text(value) for path, value in run.settings.items() if path != SEED and path not in PATHS}
    return found


def differences(a: Context, b: Context, ignore: Iterable[str] = ()) -> list[str]:
    """The names that two contexts disagree in."""
    skip = set(ignore)
    return sorted(name for name in a.keys() | b.keys() if name not in skip and a.get(name) != b.get(name))


def analyse(records: Records, margin: float = statistics.MARGIN) -> Analysis:
    """Groups all runs of a store and compares what may be compared."""
    by_id = {run.run_id: run for run in records.runs}
    names = _Names(records.runs)
    copies = _copies(records.plans)
    plain = [run for run in records.runs if run.run_id not in copies]
    plain += names.of_plans(records.plans, by_id)
    warnings: list[str] = []
    in_matched, matched = _matched_groups(records.plans, by_id, names, margin, warnings)
    groups = _groups(plain, margin, warnings)
    # A cell of an equal-cost plan has a budget of its own, so it stands alone here: its place is in the plan's table.
    groups = [
        group
        for group in groups
        if not ((_lonely(group) or group.reference is None) and all(run.run_id in in_matched for run in group.runs))
    ]
    groups.sort(key=_completeness)
    main = groups[0] if groups else None
    tables: list[Group] = []
    losses: list[Group] = []
    rates: list[Group] = []
    rest: list[Group] = []
    for group in groups:
        what = differences(main.context, group.context) if main else []
        alone = group.reference is not None and not group.others
        if group is main or not _lonely(group):
            tables.append(group)
        elif alone and what and all(name.startswith(LOSS_PREFIX) for name in what):
            losses.append(group)
        elif alone and what and main is not None and _only_rates(main, group, what):
            rates.append(group)
        else:
            rest.append(group)
    # A full ablation with another loss is a table of its own, and its base belongs into the loss table as well.
    for group in tables[1:]:
        if main is not None and group.reference is not None:
            what = differences(main.context, group.context)
            if all(name.startswith(LOSS_PREFIX) for name in what):
                losses.append(group)
            elif _only_rates(main, group, what):
                rates.append(group)
    if len(tables) > 1:
        warnings += [_why_apart(tables[0], group) for group in tables[1:]]
    return Analysis(
        tuple(tables),
        tuple(matched),
        _variations(main, losses, _loss_label, margin),
        _variations(main, rates, _rate_label, margin),
        tuple(rest),
        tuple(distinct(warnings)),
    )


class _Names:
    """Two names can mean one experiment (test-time augmentation with one view is base), of which the store keeps one run."""

    def __init__(self, runs: Iterable[RunRecord]) -> None:
        self._changes: dict[str, tuple[str, ...]] = {}
        for run in runs:
            self._changes.setdefault(run.variant, run.changes)

    def named(self, run: RunRecord, variant: str) -> RunRecord:
        """The run under the name that a plan knows it by."""
        if variant == run.variant:
            return run
        changes = () if variant == REFERENCE else self._changes.get(variant, run.changes)
        return replace(run, variant=variant, changes=changes)

    def of_plans(self, plans: Sequence[PlanRecord], by_id: Mapping[str, RunRecord]) -> list[RunRecord]:
        """The runs that plans with equal steps know by another name than the record's."""
        cells = [cell for plan in plans if plan.match == "steps" for cell in plan.cells if cell.label == cell.variant]
        found: dict[tuple[str, str], RunRecord] = {}
        for cell in cells:
            run = by_id.get(cell.run_id or "")
            if run is not None and cell.variant != run.variant:
                found[run.run_id, cell.variant] = self.named(run, cell.variant)
        return list(found.values())


def _copies(plans: Sequence[PlanRecord]) -> set[str]:
    """The runs that exist only as renamed copies of base in an A/A plan: they would give base seeds that no other has."""
    copies: set[str] = set()
    proper: set[str] = set()
    for plan in plans:
        for cell in plan.cells:
            if cell.run_id is not None:
                (proper if cell.label == cell.variant else copies).add(cell.run_id)
    return copies - proper


def _groups(runs: Sequence[RunRecord], margin: float, warnings: list[str]) -> list[Group]:
    """Each distinct context of a run without changes is a group; runs with changes join those they agree with elsewhere."""
    contexts = {run.run_id: context_of(run) for run in runs}
    changeable = {path for run in runs for path in run.changes}
    buckets: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        fixed = {name: value for name, value in contexts[run.run_id].items() if name not in changeable}
        buckets[_text(fixed)].append(run)
    found = []
    for bucket in buckets.values():
        seeds_of: dict[str, Context] = {}
        for run in bucket:
            if not run.changes:
                seeds_of.setdefault(_text(contexts[run.run_id]), contexts[run.run_id])
        members: dict[str, list[RunRecord]] = {key: [] for key in seeds_of}
        orphans: dict[str, list[RunRecord]] = defaultdict(list)
        for run in bucket:
            own = contexts[run.run_id]
            homes = [key for key, context in seeds_of.items() if not differences(context, own, run.changes)]
            for key in homes:
                members[key].append(run)
            if not homes:  # no base was run like this; what does not change anything here must still agree
                orphans[_text({name: value for name, value in own.items() if name not in changeable})].append(run)
        found += [_group("steps", seeds_of[key], group, margin, warnings) for key, group in members.items()]
        for group in orphans.values():
            found.append(_group("steps", contexts[group[0].run_id], group, margin, warnings))
    return found


def _group(
    match: str,
    context: Context,
    runs: Sequence[RunRecord],
    margin: float,
    warnings: list[str],
) -> Group:
    rows: dict[tuple[str, str], dict[int, RunRecord]] = defaultdict(dict)
    for run in runs:
        definition = _text({path: run.settings.get(path) for path in run.changes})
        row = rows[run.variant, definition]
        if run.seed not in row:
            row[run.seed] = run
        elif row[run.seed].run_id != run.run_id:
            warnings.append(
                f"{shorten(run.variant)} has two runs for seed {run.seed} with equal settings ({row[run.seed].run_id} and "
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
    reference = _reference(methods)
    if reference is not None:
        methods = [reference, *(method for method in methods if method is not reference)]
    return compared(Group(match, context, tuple(methods), reference, margin))


def _reference(methods: Sequence[Method]) -> Method | None:
    candidates = [method for method in methods if not method.first.changes]
    named = [method for method in candidates if method.variant == REFERENCE]
    return next(iter(named or candidates), None)


def compared(group: Group) -> Group:
    """The group with its comparisons."""
    if group.reference is None or not group.others:
        return group
    found = statistics.compare_all(
        group.reference.values(), {method.label: method.values() for method in group.others}, margin=group.margin
    )
    comparisons = {comparison.name: comparison for comparison in found}
    return Group(group.match, group.context, group.methods, group.reference, group.margin, comparisons)


def _matched_groups(
    plans: Sequence[PlanRecord], by_id: Mapping[str, RunRecord], names: _Names, margin: float, warnings: list[str]
) -> tuple[set[str], list[Group]]:
    """The tables of equal seconds and equal operations, from the plans that made them."""
    members: dict[tuple[str, str], dict[tuple[str, str], RunRecord]] = defaultdict(dict)
    contexts: dict[tuple[str, str], Context] = {}
    seen: set[str] = set()
    for plan in plans:
        if plan.match == "steps" or plan.match not in MATCHES:
            continue
        cells = [
            (cell, names.named(by_id[cell.run_id], cell.variant))
            for cell in plan.cells
            if cell.run_id is not None and cell.run_id in by_id and cell.label == cell.variant
        ]
        base = next((context_of(run) for cell, run in cells if cell.variant == plan.reference), None)
        seen |= {run.run_id for cell, run in cells if cell.variant != plan.reference}
        if base is None:
            warnings.append(
                f"a plan with {MATCHES[plan.match]} has no finished {shorten(plan.reference)}; it gives no table"
            )
            continue
        key = plan.match, _text(base)
        contexts[key] = base
        for cell, run in cells:
            if what := differences(base, context_of(run), BUDGET | set(run.changes)):
                warnings.append(
                    f"{shorten(cell.label)} seed {cell.seed} is left out of {MATCHES[plan.match]}: {', '.join(what)}"
                )
                continue
            members[key][run.run_id, cell.variant] = run
    groups = [
        _group(match, contexts[match, key], list(runs.values()), margin, warnings) for (match, key), runs in members.items()
    ]
    return seen, sorted(groups, key=lambda group: (list(MATCHES).index(group.match), _completeness(group)))


def _lonely(group: Group) -> bool:
    return len(group.methods) == 1


def _completeness(group: Group) -> tuple[bool, int, int, str]:
    """Sorts the most complete first: with a reference and others, then by runs, then by rows."""
    full = group.reference is not None and bool(group.others)
    return not full, -sum(len(method.runs) for method in group.methods), -len(group.methods), _text(group.context)


def _only_rates(main: Group, group: Group, what: Sequence[str]) -> bool:
    """Whether only learning-rate settings differ. Other batches may take other steps, if they see as many sequences."""
    if not what or not set(what) <= RATE_PATHS | {"training.steps"}:
        return False
    if "training.steps" not in what:
        return True
    try:
        a, b = ([int(json.loads(g.context[f"training.{name}"])) for name in ("steps", "batch_size")] for g in (main, group))
    except (KeyError, TypeError, ValueError):
        return False
    return abs(a[0] * a[1] - b[0] * b[1]) < max(a[1], b[1])


def _variations(main: Group | None, groups: Sequence[Group], label: Any, margin: float) -> Group | None:
    """Variations of the first group's reference as rows of one group, compared with it."""
    if main is None or main.reference is None:
        return None
    reference = Method(label(main.reference.first), main.reference.variant, main.reference.runs)
    rows = {
        label(group.reference.first): Method(label(group.reference.first), group.reference.variant, group.reference.runs)
        for group in groups
        if group.reference is not None
    }
    methods = (reference, *(rows[name] for name in sorted(rows)))
    return compared(Group("steps", main.context, methods, reference, margin))


def _loss_label(run: RunRecord) -> str:
    return loss_words(run.settings)


def _rate_label(run: RunRecord) -> str:
    parts = (("max lr", "max_lr"), ("pct_start", "pct_start"), ("weight decay", "weight_decay"), ("batch", "batch_size"))
    return ", ".join(f"{words} {number(run.settings.get(f'training.{name}'))}" for words, name in parts)


def _why_apart(main: Group, group: Group) -> str:
    what = [difference_words(name, main.context.get(name), group.context.get(name)) for name in _differing(main, group)]
    return f"not put in one table: {'; '.join(what[:6])}{f'; and {len(what) - 6} more' if len(what) > 6 else ''}"


def _differing(main: Group, group: Group) -> list[str]:
    changed = {path for one in (main, group) if one.reference is None for run in one.runs for path in run.changes}
    return differences(main.context, group.context, changed)


def difference_title(main: Group, group: Group) -> str:
    """What sets a group apart from the first: 'training.steps 2000 (first table: 1000)'."""
    parts = [
        f"{name} {_short(name, group.context.get(name))} (first table: {_short(name, main.context.get(name))})"
        for name in _differing(main, group)
    ]
    if group.reference is None:
        parts.insert(0, f"without {REFERENCE}")
    return "; ".join(parts[:4]) + (f"; and {len(parts) - 4} more" if len(parts) > 4 else "")


_PLURALS = {"test set": "test sets", "digits": "sets of digits", "numerics revision": "numerics revisions"}


def difference_words(name: str, a: str | None, b: str | None) -> str:
    """One disagreement: 'two test sets: ab12.. and cd34..'."""
    x, y = _short(name, a), _short(name, b)
    if name in _PLURALS:
        return f"two {_PLURALS[name]}: {x} and {y}"
    return f"{name}: {x} and {y}"


def _short(name: str, value: str | None) -> str:
    if value is None:
        return _ABSENT
    if name in ("test set", "digits"):
        return f"{value[:8]}.."
    if name.startswith("data content"):
        return f"{value[:24]}.." if len(value) > 24 else value
    return shorten(value)


# --- interactions


@dataclass(frozen=True)
class Factorial:
    """A full factorial set of cells: its factors, the cells' values by seed, and the effects."""

    factors: tuple[str, ...]
    effects: tuple[Effect, ...]


def factorial(group: Group) -> Factorial | None:
    """The largest set of at least two variants of which the group has every composition; None when there is none."""
    if group.reference is None:
        return None
    cells: dict[frozenset[str], Method] = {frozenset(): group.reference}
    for method in group.others:
        parts = frozenset(method.variant.split("+"))
        if method.label == method.variant:
            cells.setdefault(parts, method)
    single = sorted(next(iter(parts)) for parts in cells if len(parts) == 1)[:12]
    for size in range(len(single), 1, -1):
        for factors in combinations(single, size):
            wanted = [frozenset(part) for count in range(size + 1) for part in combinations(factors, count)]
            if all(cell in cells for cell in wanted):
                values = {cell: cells[cell].values() for cell in wanted}
                return Factorial(factors, tuple(statistics.factorial_effects(values, margin=group.margin)))
    return None


# --- costs


def pareto(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The names on the front of (cost, gain): no other is as cheap and as good, and better in one. Cheapest first."""
    usable = {name: point for name, point in points.items() if all(map(math.isfinite, point))}
    front: list[str] = []
    best = -math.inf
    for name, (_, gain) in sorted(usable.items(), key=lambda item: (item[1][0], -item[1][1], item[0])):
        if gain > best:
            front.append(name)
            best = gain
    return front


def devices(runs: Iterable[RunRecord]) -> list[str]:
    """The devices that runs were trained on."""
    return distinct(run.device for run in runs)


# --- words


def shorten(text: str, most: int = _MOST_SHOWN) -> str:
    """The text on one line, its middle left out where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 21]}... ({len(line):,} characters)"


def number(value: object) -> str:
    """A setting's value as a person writes it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "none"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else f"{value}"
    return shorten(value if isinstance(value, str) else _text(value))


def budget_words(group: Group) -> str:
    """The budget: '1,000 steps', '600 s'; for matched plans 'seconds as base with 1,000 steps'."""
    settings = (group.reference or group.methods[0]).first.settings
    steps, seconds = settings.get("training.steps"), settings.get("training.seconds")
    words = f"{number(seconds)} s of training" if seconds is not None else f"{number(steps)} steps"
    return words if group.match == "steps" else f"{MATCHES[group.match]} (base: {words})"


def precision(run: RunRecord) -> str:
    """The arithmetic of the training."""
    return number(run.settings.get("training.precision"))


def loss_words(settings: Mapping[str, Any]) -> str:
    """The loss as a sum: '0.7 MSE + 0.3 (1 - SSIM), SSIM from 20% on, rising over 40%'."""
    terms = [
        f"{number(settings.get(f'loss.{name}'))} {words}"
        for name, words in (("mse", "MSE"), ("ssim", "(1 - SSIM)"), ("l1", "L1"))
        if settings.get(f"loss.{name}")
    ]
    text = " + ".join(terms) or "no loss recorded"
    start, ramp = settings.get("loss.ssim_from"), settings.get("loss.ssim_ramp")
    if settings.get("loss.ssim") and (start or ramp):
        text += f"; SSIM term off for the first {_percent(start)} of training, then rising over {_percent(ramp)}"
    known = {f"loss.{name}" for name in ("mse", "ssim", "l1", "ssim_from", "ssim_ramp")}
    others = [path for path in settings if path.startswith(LOSS_PREFIX) and path not in known]
    return text + "".join(f"; {path} {number(settings[path])}" for path in others)


def loss_kind(settings: Mapping[str, Any]) -> str:
    """Which row of the article's loss table a loss belongs to: 'MSE', 'SSIM', 'MSE + SSIM' or 'other'."""
    mse, ssim, l1 = (bool(settings.get(f"loss.{name}")) for name in ("mse", "ssim", "l1"))
    if l1:
        return "other"
    return {(True, False): "MSE", (False, True): "SSIM", (True, True): "MSE + SSIM"}.get((mse, ssim), "other")


def _percent(value: object) -> str:
    return f"{value:.0%}" if isinstance(value, int | float) and not isinstance(value, bool) else "0%"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


# --- commands


def overrides(run: RunRecord) -> list[str]:
    """The --set arguments with which a run's preset becomes its experiment, apart from what its variant changes."""
    return set_options(run.preset, run.settings, run.changes)


_COMPOSITION = re.compile(r"[a-z][a-z0-9_-]{0,63}(\+[a-z][a-z0-9_-]{0,63}){0,31}")


def command(method: Method, settings: Mapping[str, str] | None = None) -> str:
    """The command that runs a row anew, or finds it in the store; `settings` replace some of its own.

    Where a record holds what no command can ask for, a comment says so.
    """
    first = method.first
    if not _COMPOSITION.fullmatch(method.variant):
        return f"# no plugin can have the name {shorten(method.variant)!r}"
    if first.preset not in PRESETS:
        return f"# {method.variant}: the preset {shorten(first.preset)!r} is not installed"
    given = [one for one in overrides(first) if not any(one.startswith(f"--set {path}=") for path in settings or {})]
    notes = [one for one in given if one.startswith("#")]
    words = ["harness", "ablate", "--plan", method.variant, "--preset", first.preset, "--seeds", seed_words(method.seeds)]
    words += [one for one in given if not one.startswith("#")]
    words += [f"--set {path}={value}" for path, value in (settings or {}).items()]
    return " ".join([*words, *notes])


def plan_command(group: Group, plan: str, *options: str) -> str:
    """The command of a plan with a group's preset, seeds and settings."""
    first = group.methods[0].first
    if first.preset not in PRESETS:
        return f"# the preset {shorten(first.preset)!r} is not installed"
    words = ["harness", "ablate", "--plan", shlex.quote(plan), *options, "--preset", first.preset]
    words += ["--seeds", seed_words(group.seeds), *(one for one in overrides(first) if not one.startswith("#"))]
    return " ".join(words)


def installable(variants: Iterable[str]) -> list[str]:
    """The names among those given that a plugin, or a composition of plugins, can have."""
    return [name for name in variants if _COMPOSITION.fullmatch(name)]


def seed_words(seeds: Sequence[int]) -> str:
    """Seeds as --seeds takes them; one alone has a comma after it."""
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


def known_preset(name: str) -> str:
    """The preset's summary; empty for one that is not installed."""
    return PRESETS[name][0] if name in PRESETS else ""
