"""What a plan asks, written down before its first run: arms, metric, margin, family of comparisons, budget and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from harness.ablation.noise import Reach, default_margin, noise, reach
from harness.ablation.plan import REFERENCE, TESTS, Ablation
from harness.errors import RequestError
from harness.evaluation.conventions import check_scaling, metric_named
from harness.experiment import BUDGETS, Experiment
from harness.notation import flatten
from harness.store.identity import key_of

if TYPE_CHECKING:
    from harness.evaluation.metrics import Metric

ALPHA = 0.05
BUDGET = tuple(f"training.{name}" for name in BUDGETS)
HELD = (*BUDGET, "training.batch_size", "training.patience", "training.start", "data")
"""What arms have in common with the reference unless their idea changes it; a plan of equal cost sets their budgets itself."""


@dataclass(frozen=True)
class Contrast:
    """One comparison of a family: `treated` minus `reference`, both rows of the plan, under the name of what it tells."""

    name: str
    treated: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A plan's question. Its digest stands in the report; what is changed later is a departure.

    Args:
        contrasts: the family: Holm's adjustment is over these, whatever else the store holds.
        margin: the smallest difference of interest, in the metric's unit; `margin_from` says what it rests on.
        budget: what arms get as much of as the reference.
        differs: arm -> settings of `HELD` in which it differs from the reference, with both values.
        seed_rule: 'fixed', or the rule of `--seeds auto`.
        controls: row -> the verdict that it must get; they are a family of their own.
    """

    contrasts: tuple[Contrast, ...]
    metric: str
    higher_is_better: bool
    margin: float
    margin_from: str
    budget: str
    seeds: tuple[int, ...]
    alpha: float = ALPHA
    adjustment: str = "Holm"
    test: str = TESTS["t"]
    seed_rule: str | Mapping[str, Any] = "fixed"
    differs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    controls: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The question as a sentence."""
        way = "higher" if self.higher_is_better else "lower"
        names = ", ".join(one.name for one in self.contrasts)
        if not names:
            return f"What does the plan's one arm reach in {self.metric} ({way} is better)?"
        return f"Which of {names} makes {self.metric} ({way} is better) better by {self.margin:g} at equal {self.budget}?"

    @property
    def held_equal(self) -> list[str]:
        """What was checked to be equal in all arms."""
        changed = {one.partition(" ")[0] for found in self.differs.values() for one in found}
        budget = [] if changed & set(BUDGET) else [self.budget]
        return [*budget, *(name for name in ("batch size", "data") if not _touched(name, changed))]

    def reach(self, preset: str) -> Reach | None:
        """What the plan can find under the noise that was measured at a preset; None without a figure."""
        found = noise(preset, self.metric)
        return None if found is None else reach(found, len(self.seeds), len(self.contrasts), self.margin, self.alpha)

    def record(self) -> dict[str, Any]:
        """Plain values, with the digest."""
        plain = asdict(self) | {"question": self.text, "held_equal": self.held_equal}
        plain["differs"] = {arm: list(found) for arm, found in self.differs.items()}
        plain["contrasts"] = [asdict(one) for one in self.contrasts]
        plain["seeds"] = list(self.seeds)
        return plain | {"digest": key_of(plain)}


def _touched(name: str, changed: set[str]) -> bool:
    path = {"batch size": "training.batch_size", "data": "data"}[name]
    return any(one == path or one.startswith(f"{path}.") for one in changed)


def family(plan: str, rows: Sequence[str], controls: Mapping[str, str]) -> tuple[Contrast, ...]:
    """The comparisons of a plan: every row against base; leave-one-out: everything against everything but one, and against base.

    >>> [one.name for one in family("leave-one-out", ["base", "a+b", "a", "b"], {})]
    ['a+b', 'b with the others', 'a with the others']
    """
    arms = [name for name in rows if name != REFERENCE and name not in controls]
    if plan != "leave-one-out" or len(arms) < 2:
        return tuple(Contrast(name, name, REFERENCE) for name in arms)
    full, *less = arms
    parts = full.split("+")
    found = [Contrast(full, full, REFERENCE)]
    for name in less:
        kept = name.split("+")
        out = "+".join(part for part in parts if part not in kept)
        found.append(Contrast(f"{out} with the others", full, name))
    return tuple(found)


def ask(
    ablation: Ablation, rows: Sequence[str], experiments: Mapping[str, Experiment], controls: Mapping[str, str]
) -> Question:
    """The question of a plan. Raises RequestError for an unknown metric, or one that has no margin and no measured noise.

    Args:
        rows: the plan's rows, the reference first.
        experiments: row -> experiment, of the rows whose budget is known; that of the reference among them.
        controls: row -> the verdict that it must get.
    """
    base = experiments[REFERENCE]
    metric: Metric = metric_named(ablation.metric, base.metrics)
    check_scaling([metric], base.data)
    rule = ablation.rule
    margin, source = ablation.margin, "given with --margin"
    if margin is None:
        found = default_margin(ablation.request.preset, metric.name)
        if found is None:
            raise RequestError(
                f"--metric {metric.name}: no noise of five seeds was measured for it at preset {ablation.request.preset}, so it "
                "has no default margin; give --margin, the smallest difference of interest in its unit"
            )
        margin, source = found
    if rule is not None:
        margin = rule.margin
    held = HELD[len(BUDGET) :] if ablation.match in ("seconds", "flops") else HELD
    differs = {name: _differs(base, one, held) for name, one in experiments.items()}
    return Question(
        contrasts=family(ablation.plan, rows, controls),
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        margin=margin,
        margin_from=source,
        budget=_budget(ablation.match, base),
        seeds=ablation.seeds,
        seed_rule="fixed" if rule is None else rule.record(),
        test=TESTS[ablation.test],
        differs={name: one for name, one in differs.items() if one},
        controls=dict(controls),
    )


def _budget(match: str, base: Experiment) -> str:
    """What arms get as much of: what `--equal` says, and where that is steps or parameters, what the budget is given in."""
    if match in ("seconds", "flops"):
        return match
    return "steps" if base.training.seconds is None else "seconds"


def _differs(base: Experiment, arm: Experiment, held: Sequence[str]) -> list[str]:
    a, b = flatten(base.to_dict()), flatten(arm.to_dict())
    paths = [path for path in a.keys() | b.keys() if any(path == one or path.startswith(f"{one}.") for one in held)]
    return [f"{path} {b.get(path)} (base: {a.get(path)})" for path in sorted(paths) if a.get(path) != b.get(path)]
