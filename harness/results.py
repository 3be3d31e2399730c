"""Finished runs as objects: tidy frames, verdicts, plots and, in a notebook, a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import RequestError, unknown
from harness.experiment import NEUTRAL, Experiment, canonical_json
from harness.notation import flatten

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from harness.ablation.auto import Decision
    from harness.store import Training
    from harness.store.status import Standing
    from harness.variant import Variants

T = TypeVar("T")
REFERENCE = "base"
SEED = "training.seed"


class Results(Sequence["Result"]):
    """Runs, in order. Slices and `where` give some of them.

    Args:
        runs: the runs.
        left_out: what a plan could not run, each with the reason.
        one_table: all runs may be compared, as those of one plan; otherwise those that differ in what no variant changes are apart.
        decisions: those of a plan with `seeds="auto"`; its arms have seeds in different numbers, so no other test fits them.
    """

    def __init__(
        self,
        runs: Sequence[Result],
        left_out: dict[str, str] | None = None,
        *,
        one_table: bool = False,
        decisions: Sequence[Decision] = (),
    ) -> None:
        self.runs, self.left_out, self.one_table = tuple(runs), left_out or {}, one_table
        self.decisions = tuple(decisions)

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.runs)

    def __getitem__(self, key: Any) -> Any:
        """The run at a place, or the one whose id begins with a text; a slice of runs."""
        if isinstance(key, slice):
            return Results(self.runs[key], one_table=self.one_table)
        if not isinstance(key, str):
            return self.runs[key]
        found = [one for one in self.runs if one.run_id.startswith(key)]
        if len(found) != 1:
            raise RequestError(f"{len(found)} of {len(self.runs)} runs have an id that begins with {key!r}")
        return found[0]

    def where(self, **wanted: object) -> Results:
        """The runs with these values, such as variant="attention", seed=0 or preset="cpu"."""
        runs = [one for one in self.runs if all(one.record.get(name) == value for name, value in wanted.items())]
        return Results(runs, one_table=self.one_table)

    def frame(self, what: str = "metrics") -> pd.DataFrame:
        """The runs as a tidy frame.

        Args:
            what: "metrics": a row for each run and metric: run_id, variant, preset, seed, metric, value, parameters, seconds,
                steps. "runs", "by-frame", "validations": see `harness.store.frames`. "comparisons": those of the store's report.

        Raises RequestError for another name.
        """
        from harness.reports import comparisons
        from harness.store import frames

        if what == "comparisons":
            return comparisons({one.path: one.standing for one in self.runs})
        if what == "validations":
            return frames.validations((one.record, one.curve()) for one in self.runs)
        if what not in frames.OF_RECORDS:
            raise unknown("frame", what, frames.WHAT, label="choices")
        return frames.OF_RECORDS[what](one.record for one in self.runs)

    def verdicts(self, metric: str = "ssim", margin: float | None = None, reference: str = REFERENCE) -> pd.DataFrame:
        """Each variant against the reference, paired by seed and Holm-adjusted over a table.

        Args:
            metric: what is judged.
            margin: the smallest difference of interest, in the metric's unit; by default that of the report. Give one for
                another metric than SSIM.

        Raises RequestError when there is no run of the reference, or two runs of one variant and seed may not share a table.
        """
        import pandas as pd

        from harness.evaluation.conventions import HEADLINE, METRICS
        from harness.tuning.confirm import statistics

        if margin is None and not metric.startswith(HEADLINE):
            raise RequestError(f"verdicts of {metric} need a margin, the smallest difference of interest in its unit")
        columns = ["variant", "seeds", "difference", "low", "high", "p", "verdict", "words"]
        if self.decisions and metric == HEADLINE and reference == REFERENCE:
            decided = [
                (one.arm, one.seeds, one.difference, one.low, one.high, one.p, one.verdict, one.words)
                for one in self.decisions
            ]
            return pd.DataFrame(decided, columns=columns)
        options = {} if margin is None else {"margin": margin}
        better = getattr(METRICS.get(metric), "higher_is_better", True)
        rows: list[dict[str, Any]] = []
        for values in self._tables(metric):
            if reference not in values:
                continue
            others = {name: one for name, one in sorted(values.items()) if name != reference}
            for one in statistics()(values[reference], others, higher_is_better=better, **options) if others else ():
                rows.append(
                    {
                        "variant": one.name,
                        "seeds": one.n,
                        "difference": one.mean,
                        "low": one.low,
                        "high": one.high,
                        "p": one.p_adjusted,
                        "verdict": one.verdict.kind.value,
                        "words": one.verdict.words,
                    }
                )
        if not rows and any(one.variant != reference for one in self.runs):
            raise RequestError(f"there is no run of {reference} with the settings of these runs; run it with the same seeds")
        return pd.DataFrame(rows, columns=columns)

    def _tables(self, metric: str) -> list[dict[str, dict[int, float | None]]]:
        """Variant -> seed -> value, for each set of runs that may be compared."""
        changes = {path for one in self.runs for path in one.record.get("changes", ())}
        tables: dict[str, dict[str, dict[int, float | None]]] = {}
        tests: dict[str, str] = {}  # a table's key -> its test sequences
        for one in sorted(self.runs, key=lambda one: one.scored):
            key = "" if self.one_table else one.context(changes)
            if metric not in one.metrics:
                raise RequestError(f"run {one.run_id} has no metric {metric!r}; it has {', '.join(one.metrics)}")
            test = str(one.record["test_digest"])
            # Predictions made elsewhere join every table of their test sequences.
            joined = [other for other, digest in tests.items() if digest == test] if one.scored else []
            for table in joined or [key]:
                tests.setdefault(table, test)
                row = tables.setdefault(table, {}).setdefault(one.variant, {})
                if one.seed in row:
                    raise RequestError(
                        f"two runs of {one.variant} have seed {one.seed} and settings that differ in what a variant changes; "
                        "choose runs with where(...) first"
                    )
                row[one.seed] = one.metrics[metric]
        return list(tables.values())

    def plot(self, metric: str = "ssim", axes: Axes | None = None) -> Axes:
        """A point for each run and the mean of each variant. Returns the matplotlib axes."""
        axes = _axes(axes)
        names = list(dict.fromkeys(one.variant for one in self.runs))
        for place, name in enumerate(names):
            values = [one.metrics[metric] for one in self.runs if one.variant == name]
            finite = [value for value in values if value is not None]
            axes.plot(finite, [place] * len(finite), "o", alpha=0.5, color="C0")
            if finite:
                axes.plot(sum(finite) / len(finite), place, "|", markersize=18, color="black")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel(f"test {metric}")
        return axes

    def _repr_html_(self) -> str:
        """Means over seeds, for a notebook."""
        table = self.frame().pivot_table("value", "variant", "metric", sort=False)
        table.insert(0, "seeds", self.frame().groupby("variant")["seed"].nunique())
        return str(table.to_html(float_format="{:.4f}".format))

    def __repr__(self) -> str:
        return f"<{len(self.runs)} runs of {', '.join(dict.fromkeys(one.variant for one in self.runs)) or 'nothing'}>"


@dataclass(frozen=True, repr=False)
class Result:
    """One finished run.

    Args:
        record: the result, as `harness show --json` has it, with the paths that the variant changes.
        path: the run's folder.
    """

    record: dict[str, Any]
    path: Path
    cached: bool = False
    resumed: bool = False
    variants: Variants | None = field(default=None, compare=False)
    standing: Standing | None = field(default=None, compare=False)
    """The run's records as the store has them, where it was read from one."""

    @property
    def run_id(self) -> str:
        """Its id in the store."""
        return str(self.record["run_id"])

    @property
    def variant(self) -> str:
        """The composition, such as 'residual+attention(heads=1)'."""
        return str(self.record["variant"])

    @property
    def preset(self) -> str:
        """The preset it started from."""
        return str(self.record["preset"])

    @property
    def seed(self) -> int:
        """The seed of weights and training sequences."""
        return int(self.record["seed"])

    @property
    def scored(self) -> bool:
        """Whether nothing was trained for its predictions (`harness score`, `inference.predictor`)."""
        return "predictions" in self.record

    @property
    def metrics(self) -> dict[str, float | None]:
        """Test metrics by name; None where one is not finite."""
        return dict(self.record["metrics"])

    @property
    def parameters(self) -> int | None:
        """Parameters of the network; None for predictions without a training, as are seconds and steps."""
        return _maybe(int, self.record["params"])

    @property
    def seconds(self) -> float | None:
        """Seconds of training."""
        return _maybe(float, self.record["training"]["seconds"])

    @property
    def steps(self) -> int | None:
        """Steps of training."""
        return _maybe(int, self.record["training"]["steps"])

    @property
    def experiment(self) -> Experiment:
        """All settings. Raises RequestError when a component is not known: pass its class to `harness.open_store`."""
        return Experiment.from_dict(self.record["experiment"], self.variants.components.find if self.variants else None)

    def model(self) -> nn.Module:
        """The trained network, on the CPU: called with (frames_BTCHW, horizon). Raises DamagedRecord when it is not whole."""
        import torch

        from harness.data.source import open_source
        from harness.training.checkpoint import load_model

        experiment, training = self.experiment, self._training()
        source = open_source(experiment.data, None)
        return load_model(experiment, source.shape, training.check(training.read("training.json")), torch.device("cpu"))

    def validations(self) -> pd.DataFrame:
        """The validation curve: step, seconds of training, a column for each metric. Empty for predictions without a training."""
        import pandas as pd

        return pd.DataFrame(self.curve())

    def curve(self) -> list[dict[str, Any]]:
        """The rows of `validations`; none where the store has no log of the training."""
        from harness.store import DamagedRecord

        with suppress(DamagedRecord):  # imported without its training
            return [] if self.scored else self._training().validations()
        return []

    def _training(self) -> Training:
        from harness.store import Run, Store

        one = self.standing
        known = None if one is None or one.result is None else (one.record, one.result)
        return Store(self.path.parent.parent).training_of(Run(self.path), known)

    def context(self, changes: set[str]) -> str:
        """What must agree between runs of one table: all settings but the seed and `changes`, and the test sequences."""
        free = (SEED, "metrics", *changes)
        settings = {
            path: value
            for path, value in flatten(self.record["experiment"]).items()
            if NEUTRAL.get(path, path) != value and not any(path == one or path.startswith(f"{one}.") for one in free)
        }
        return canonical_json([settings, self.record["test_digest"]])

    def frame(self) -> pd.DataFrame:
        """A row for each metric; see `Results.frame`."""
        return Results([self]).frame()

    def verdicts(self, metric: str = "ssim", margin: float | None = None) -> pd.DataFrame:
        """Always empty: one run alone decides nothing."""
        return Results([]).verdicts(metric, margin)

    def plot(self, metric: str = "ssim", axes: Axes | None = None) -> Axes:
        """The metric of every predicted frame. Returns the matplotlib axes."""
        axes, values = _axes(axes), self.record["metrics_per_frame"][metric]
        axes.plot(range(1, len(values) + 1), values, marker="o", label=f"{self.variant}, seed {self.seed}")
        axes.set_xlabel("predicted frame")
        axes.set_ylabel(f"test {metric}")
        axes.legend()
        return axes

    def _repr_html_(self) -> str:
        """Its metrics, for a notebook."""
        return Results([self])._repr_html_()

    def __repr__(self) -> str:
        ssim = self.metrics.get("ssim")
        shown = "not finite" if ssim is None else f"{ssim:.4f}"
        return f"<run {self.run_id}: {self.variant}, preset {self.preset}, seed {self.seed}, SSIM {shown}>"


@dataclass(frozen=True, repr=False)
class Tuned:
    """A study: its trials, and the best of them by validation SSIM, or another objective."""

    document: dict[str, Any]
    """What `harness study --json` prints."""

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.document["name"])

    @property
    def variant(self) -> str:
        """The composition that was tuned."""
        return str(self.document["variant"])

    @property
    def best(self) -> dict[str, Any] | None:
        """The best trial: number, params, settings (for `harness.run`), value, and the TOML file of its settings as config."""
        best: dict[str, Any] | None = self.document["best"]
        return best

    def frame(self) -> pd.DataFrame:
        """A row for each trial: number, state, arm, a column for each parameter, value."""
        import pandas as pd

        rows = [
            {"number": one["number"], "state": one["state"].lower(), "arm": one["arm"] or "", **one["params"]}
            | {"value": one["value"]}
            for one in self.document["trials"]
        ]
        names = dict.fromkeys(name for one in self.document["trials"] for name in one["params"])
        found = pd.DataFrame(rows, columns=["number", "state", "arm", *names, "value"])
        return found.astype({"value": float})

    def plot(self, parameter: str | None = None, axes: Axes | None = None) -> Axes:
        """The value of each trial against a parameter, or else against its number with the best so far. Returns the axes.

        Raises RequestError for a parameter that the study does not search.
        """
        frame = self.frame().dropna(subset="value")
        if parameter is not None and parameter not in frame.columns[3:-1]:
            raise RequestError(f"study {self.name} has no parameter {parameter!r}; it has {', '.join(frame.columns[3:-1])}")
        axes = _axes(axes)
        axes.plot(frame[parameter or "number"], frame["value"], "o")
        if parameter is None and self.document["directions"][0] == "maximize":
            axes.step(frame["number"], frame["value"].cummax(), where="post", color="black")
        axes.set_xlabel(parameter or "trial")
        axes.set_ylabel(f"validation {self.document['objectives'][0]}")
        return axes

    def _repr_html_(self) -> str:
        """Its trials, for a notebook."""
        return f"<p>{escape(str(self))}</p>" + str(self.frame().to_html(index=False, float_format="{:.4g}".format))

    def __repr__(self) -> str:
        best = (
            "no trial has finished"
            if self.best is None
            else f"best is trial {self.best['number']}: {self.best['value']:.4f}"
        )
        return f"<study {self.name} of {self.variant}: {len(self.document['trials'])} trials, {best}>"


def _maybe(kind: Callable[[Any], T], value: object) -> T | None:
    return None if value is None else kind(value)


def _axes(axes: Axes | None) -> Axes:
    import matplotlib.pyplot as plt

    return axes or plt.subplots(layout="constrained")[1]
