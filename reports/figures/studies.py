"""Plots of a study: history, slices, two parameters together, importance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reports.analysis.words import label, real
from reports.figures import canvas
from reports.page import Figure

MOST_SLICES = 4
LEAST_TRIALS = 4
"""Fewer complete trials than this say nothing about what mattered."""

Trials = Sequence[Mapping[str, Any]]


def history(key: str, trials: Trials) -> Figure | None:
    """Every complete trial, and the best up to then."""
    if len(trials) < 2:
        return None
    numbers, values = [trial["number"] for trial in trials], [float(trial["value"]) for trial in trials]
    best = [max(values[: index + 1]) for index in range(len(values))]
    with canvas.draw(2.3) as (plot, (axes,)):
        axes.plot(numbers, values, "o", color="0.45", label="one trial")
        axes.step(numbers, best, where="post", color="#0173b2", label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel("validation SSIM")
        canvas.legend(plot, axes)
        alt = f"Validation SSIM by trial: from {values[0]:.4f} at first to a best of {best[-1]:.4f} after {len(values)} trials."
        return canvas.save(plot, key, "History", "Every complete trial, and the best up to then.", alt)


def slices(key: str, trials: Trials, parameters: Sequence[str], space: Mapping[str, Any]) -> Figure | None:
    """The value against each parameter by itself, the first `MOST_SLICES`."""
    shown = [name for name in parameters if len(_points(trials, name)) >= 2][:MOST_SLICES]
    if not shown:
        return None
    with canvas.draw(0.3 + 1.9 * len(shown), len(shown), sharey=True) as (plot, panels):
        for axes, name in zip(panels, shown, strict=True):
            points = _points(trials, name)
            axes.plot([x for x, _ in points], [y for _, y in points], "o", color="#0173b2", label="searched")
            fixed = _points([trial for trial in trials if trial.get("arm")], name)
            axes.plot([x for x, _ in fixed], [y for _, y in fixed], "D", color="#de8f05", label="fixed arm")
            _scale(axes.xaxis, space[name])
            axes.set_xlabel(label(name))
            axes.set_ylabel("validation SSIM")
        canvas.legend(plot, panels[0])
        words = [f"best {name} {max(_points(trials, name), key=lambda p: p[1])[0]:.4g}" for name in shown]
        return canvas.save(plot, key, "Slices", "Validation SSIM against each parameter by itself.", f"{'; '.join(words)}.")


def _scale(axis: Axis, one: Mapping[str, Any]) -> None:
    """A logarithmic axis where the search was logarithmic, its ticks as plain numbers: these plots set no mathematics."""
    if one.get("log"):
        axis.axes.set(**{f"{'x' if isinstance(axis, XAxis) else 'y'}scale": "log"})
        axis.set_major_locator(LogLocator(numticks=5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def contour(key: str, trials: Trials, parameters: Sequence[str], space: Mapping[str, Any]) -> Figure | None:
    """Trials by their first two parameters."""
    names = [name for name in parameters if len({x for x, _ in _points(trials, name)}) >= 2][:2]
    both = [t for t in trials if all(real((t.get("params") or {}).get(name)) is not None for name in names)]
    if len(names) < 2 or len(both) < LEAST_TRIALS:
        return None
    x, y = ([float(trial["params"][name]) for trial in both] for name in names)
    values = [float(trial["value"]) for trial in both]
    with canvas.draw(2.7) as (plot, (axes,)):
        dots = axes.scatter(x, y, c=values, cmap="cividis", edgecolors="0.2", s=60)
        _scale(axes.xaxis, space[names[0]])
        _scale(axes.yaxis, space[names[1]])
        axes.set_xlabel(label(names[0]))
        axes.set_ylabel(label(names[1]))
        plot.colorbar(dots, ax=axes, label="validation SSIM")
        top = max(range(len(values)), key=values.__getitem__)
        alt = f"Validation SSIM over {names[0]} and {names[1]}; the best of {len(both)} trials is at {x[top]:.4g}, {y[top]:.4g}."
        return canvas.save(
            plot, key, "Two parameters together", "Trials by their first two parameters; lighter is better.", alt
        )


def importance(key: str, trials: Trials, space: Mapping[str, Any]) -> Figure | None:
    """What mattered, by `importances`."""
    shares = importances(trials, space)
    if len(shares) < 2:
        return None  # the only parameter has all of it
    names = sorted(shares, key=shares.__getitem__)
    with canvas.draw(0.8 + 0.25 * len(names)) as (plot, (axes,)):
        axes.barh([label(name, canvas.SHORT) for name in names], [shares[name] for name in names], color="#0173b2")
        axes.set_xlabel("share of variance (fANOVA)")
        axes.set_xlim(0, 1)
        alt = "Importance: " + ", ".join(f"{name} {shares[name]:.0%}" for name in reversed(names)) + "."
        caption = f"What mattered within the ranges searched, from {len(trials)} trials: an order of magnitude."
        return canvas.save(plot, key, "Importance", caption, alt)


def importances(trials: Trials, space: Mapping[str, Any]) -> dict[str, float]:
    """Share of each parameter in the variance of the value (fANOVA, Hutter et al. 2014), by Optuna; {} where it has no answer."""
    whole = [trial for trial in trials if set(trial.get("params") or {}) == set(space)]
    if len(whole) < LEAST_TRIALS or len({trial["value"] for trial in whole}) < 2:
        return {}
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="maximize")
        distributions = {name: _distribution(optuna.distributions, one) for name, one in space.items()}
        for trial in whole:
            study.add_trial(
                optuna.trial.create_trial(
                    params=dict(trial["params"]), distributions=distributions, value=float(trial["value"])
                )
            )
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # an arm outside the ranges, or no variance to share out
        return {}
    finally:
        optuna.logging.set_verbosity(before)
    return {name: share for name, share in found.items() if math.isfinite(share)}


def _distribution(kinds: Any, one: Mapping[str, Any]) -> Any:
    if one["kind"] == "choice":
        return kinds.CategoricalDistribution(one["options"])
    kind = kinds.IntDistribution if one["kind"] == "int" else kinds.FloatDistribution
    return kind(one["low"], one["high"], log=bool(one.get("log")))


def _points(trials: Trials, name: str) -> list[tuple[float, float]]:
    pairs = [(real((trial.get("params") or {}).get(name)), float(trial["value"])) for trial in trials]
    return [(x, y) for x, y in pairs if x is not None]
