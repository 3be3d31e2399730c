"""The report's part on studies: every trial, the fixed arms, where the best setting lies, and what mattered.

It reads the records that a study writes (see `harness.study`), not Optuna's storage. Values are validation SSIM: they choose a
setting and prove nothing; what `--confirm` tested is said apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.errors import HarnessError
from harness.store import Folder, Store
from reports.page import Figure, Section, Table, Value
from reports.plots import _canvas, _save, label
from reports.tables import figure, table, text

MOST_STUDIES = 12
MOST_SLICES = 4
LEAST_TRIALS = 4
"""Fewer complete trials than this say nothing about what mattered."""


def sections(store: Store) -> list[Section]:
    """One section a study, in the order of their ids; the last one names those beyond `MOST_STUDIES`. Empty when there is none."""
    found: list[Section] = []
    paths = sorted((store.root / "studies").glob("*.json"))
    for path in paths[:MOST_STUDIES]:
        try:
            record = Folder(path.parent).read(path.name)
            found.append(_section(record, len(found)))
        except (HarnessError, KeyError, TypeError, ValueError, AttributeError) as error:
            words = f"{path.name} is not a whole record of a study: {error}"
            found.append(Section(f"study-{len(found) + 1}", "A study that cannot be read", (words[:500],)))
    if left := [path.stem for path in paths[MOST_STUDIES:]]:
        words = f"{len(left)} more studies are in this store and not shown here: {', '.join(left)}."
        found.append(Section(f"study-{len(found) + 1}", "Studies left out", (words[:2000],)))
    return found


def _section(record: Mapping[str, Any], index: int) -> Section:
    key = f"study-{index + 1}"
    trials: list[Any] = record["trials"]
    if not isinstance(trials, list) or not all(isinstance(trial, dict) for trial in trials):
        raise ValueError("its trials are not a list of trials")
    complete = [trial for trial in trials if trial["state"] == "COMPLETE" and _number(trial.get("value")) is not None]
    parameters = [str(name) for name in record["space"]]
    two = len(record.get("objectives") or []) > 1
    tables = [_trials(f"{key}-trials", trials, parameters, two), _arms(f"{key}-arms", record["arms"])]
    if record.get("confirm"):
        tables.append(_confirmed(f"{key}-confirmed", record["confirm"]))
    figures = [_history(f"{key}-history", complete), _slices(f"{key}-slices", complete, parameters, record["space"])]
    figures += [
        _contour(f"{key}-contour", complete, parameters, record["space"]),
        _importance(f"{key}-importance", complete, record["space"]),
    ]
    return Section(
        key,
        f"Study {label(str(record['study']))} of {label(str(record['variant']))}, preset {label(str(record['preset']))}",
        tuple(_sentences(record, len(complete))),
        tuple(one for one in tables if one.rows),
        tuple(one for one in figures if one is not None),
        commands=(str(record["command"])[:1000],) if record.get("command") else (),
    )


def _sentences(record: Mapping[str, Any], complete: int) -> list[str]:
    counts = ", ".join(f"{count} {state}" for state, count in record["counts"].items() if count)
    seeds = len(record.get("seeds") or [0])
    lines = [
        f"Trials: {counts or 'none'}. The value is validation SSIM "
        f"({'of one seed' if seeds == 1 else f'mean over {seeds} seeds'}), never test data."
    ]
    best = record.get("best")
    if best:
        searched = {
            path: value for path, value in (best.get("settings") or {}).items() if path in (record.get("owns") or [])
        }
        lines.append(
            f"The best setting is trial {best['number']}"
            + (f" ({best['arm']})" if best.get("arm") else "")
            + f": {_words(best['params'])}"
            + (f", that is {_words(searched)}" if searched else "")
            + f", with {_value(best['value'])}{_over_arms(best, record['arms'])}. It was chosen among {complete} for that value, "
            "which therefore flatters it."
        )
    if front := record.get("front"):
        lines.append(
            f"No trial beats these in both validation SSIM and training seconds: {', '.join(str(number) for number in front)}."
        )
    confirm = record.get("confirm")
    if confirm:
        lines.append(f"On seeds that the search did not use: {confirm['verdict']}")
    else:
        lines.append(
            "Not confirmed: run the study's command with --confirm 5 to test the best setting and the arms on new seeds."
        )
    return lines


def _over_arms(best: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> str:
    """How much more the best setting has than each fixed arm that is not itself."""
    value = _number(best["value"])
    parts = []
    for arm in arms:
        other = _number(arm.get("value"))
        if value is not None and other is not None and arm["name"] != best.get("arm"):
            parts.append(f"{value - other:+.4f} over {arm['name']} ({other:.4f})")
    return f": {', '.join(parts)}" if parts else ""


def _trials(key: str, trials: Sequence[Mapping[str, Any]], parameters: Sequence[str], two: bool) -> Table:
    columns = [("trial", True), ("state", False), ("arm", False), *((name, True) for name in parameters)]
    columns += [("validation SSIM", True), *([("seconds", True)] if two else []), ("seeds", True), ("runs", False)]
    rows = []
    for trial in trials:
        params, runs = trial.get("params") or {}, trial.get("run_ids") or []
        rows.append(
            [
                Value(str(trial["number"]), float(trial["number"])),
                text(str(trial["state"]).lower()),
                text(str(trial.get("arm") or "-")),
                *(_cell(params.get(name)) for name in parameters),
                figure(_number(trial.get("value")), 4),
                *([figure(_number((trial.get("values") or [None, None])[1]), 1)] if two else []),
                Value(str(len(runs)), len(runs)),
                text(" ".join(str(run) for run in runs) or "-"),
            ]
        )
    return table(key, "Trials", columns, rows, "A pruned trial's value is what it had reached when it was stopped.")


def _arms(key: str, arms: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            text(str(arm["name"])),
            text(_words(arm.get("params") or {})),
            figure(_number(arm.get("value")), 4),
            text("reference" if arm.get("reference") else "-"),
            text(str(arm.get("note") or "-")),
        ]
        for arm in arms
    ]
    columns = [("arm", False), ("setting", False), ("validation SSIM", True), ("role", False), ("note", False)]
    return table(key, "Fixed arms", columns, rows, "Settings of the article, tried first in every study of this name.")


def _confirmed(key: str, confirm: Mapping[str, Any]) -> Table:
    seeds = [str(seed) for seed in confirm["seeds"]]
    rows = []
    for row in confirm["rows"]:
        values = row["values"]
        by_seed = values if isinstance(values, dict) else dict(zip(seeds, values, strict=False))
        cells = [figure(_number(by_seed.get(seed)), 4) for seed in seeds]
        rows.append(
            [text(str(row["name"])), text(_words(row.get("params") or {})), figure(_number(row.get("mean")), 4), *cells]
        )
    columns = [
        ("setting", False),
        ("parameters", False),
        ("test SSIM, mean", True),
        *((f"seed {seed}", True) for seed in seeds),
    ]
    return table(key, "Confirmed on new seeds, test sequences", columns, rows, str(confirm["verdict"]))


def _history(key: str, trials: Sequence[Mapping[str, Any]]) -> Figure | None:
    if len(trials) < 2:
        return None
    numbers, values = [trial["number"] for trial in trials], [float(trial["value"]) for trial in trials]
    best = [max(values[: index + 1]) for index in range(len(values))]
    with _canvas(6.5, 3.2) as (canvas, (axes,)):
        axes.plot(numbers, values, "o", color="0.45", label="one trial")
        axes.step(numbers, best, where="post", color="#0173b2", label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel("validation SSIM")
        canvas.legend(loc="outside lower center", ncols=2)
        alt = f"Validation SSIM by trial: from {values[0]:.4f} at first to a best of {best[-1]:.4f} after {len(values)} trials."
        return _save(canvas, key, "History", "Every complete trial, and the best up to then.", alt)


def _slices(
    key: str, trials: Sequence[Mapping[str, Any]], parameters: Sequence[str], space: Mapping[str, Any]
) -> Figure | None:
    shown = [name for name in parameters if len(_points(trials, name)) >= 2][:MOST_SLICES]
    if not shown:
        return None
    with _canvas(3.0 * len(shown) + 0.5, 3.0, 1, len(shown), sharey=True) as (canvas, panels):
        for axes, name in zip(panels, shown, strict=True):
            points = _points(trials, name)
            axes.plot([x for x, _ in points], [y for _, y in points], "o", color="#0173b2", label="searched")
            fixed = _points([trial for trial in trials if trial.get("arm")], name)
            axes.plot([x for x, _ in fixed], [y for _, y in fixed], "D", color="#de8f05", label="fixed arm")
            _scale(axes.xaxis, space[name])
            axes.set_xlabel(label(name))
        panels[0].set_ylabel("validation SSIM")
        canvas.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        words = [f"best {name} {max(_points(trials, name), key=lambda p: p[1])[0]:.4g}" for name in shown]
        return _save(canvas, key, "Slices", "Validation SSIM against each parameter by itself.", f"{'; '.join(words)}.")


def _scale(axis: Axis, one: Mapping[str, Any]) -> None:
    """A logarithmic axis where the search was logarithmic, its ticks as plain numbers: these plots set no mathematics."""
    if one.get("log"):
        axis.axes.set(**{f"{'x' if isinstance(axis, XAxis) else 'y'}scale": "log"})
        axis.set_major_locator(LogLocator(numticks=5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _contour(
    key: str, trials: Sequence[Mapping[str, Any]], parameters: Sequence[str], space: Mapping[str, Any]
) -> Figure | None:
    names = [name for name in parameters if len({x for x, _ in _points(trials, name)}) >= 2][:2]
    both = [t for t in trials if all(_number((t.get("params") or {}).get(name)) is not None for name in names)]
    if len(names) < 2 or len(both) < LEAST_TRIALS:
        return None
    x, y = ([float(trial["params"][name]) for trial in both] for name in names)
    values = [float(trial["value"]) for trial in both]
    with _canvas(5.5, 3.8) as (canvas, (axes,)):
        dots = axes.scatter(x, y, c=values, cmap="cividis", edgecolors="0.2", s=60)
        _scale(axes.xaxis, space[names[0]])
        _scale(axes.yaxis, space[names[1]])
        axes.set_xlabel(label(names[0]))
        axes.set_ylabel(label(names[1]))
        canvas.colorbar(dots, ax=axes, label="validation SSIM")
        top = max(range(len(values)), key=values.__getitem__)
        alt = f"Validation SSIM over {names[0]} and {names[1]}; the best of {len(both)} trials is at {x[top]:.4g}, {y[top]:.4g}."
        return _save(canvas, key, "Two parameters together", "Trials by their first two parameters; lighter is better.", alt)


def _importance(key: str, trials: Sequence[Mapping[str, Any]], space: Mapping[str, Any]) -> Figure | None:
    shares = importances(trials, space)
    if len(shares) < 2:
        return None  # the only parameter has all of it
    names = sorted(shares, key=shares.__getitem__)
    with _canvas(6.0, 0.9 + 0.4 * len(names)) as (canvas, (axes,)):
        axes.barh([label(name) for name in names], [shares[name] for name in names], color="#0173b2")
        axes.set_xlabel("share of the variance of validation SSIM (fANOVA)")
        axes.set_xlim(0, 1)
        alt = "Importance: " + ", ".join(f"{name} {shares[name]:.0%}" for name in reversed(names)) + "."
        caption = f"What mattered within the ranges searched, from {len(trials)} trials: an order of magnitude."
        return _save(canvas, key, "Importance", caption, alt)


def importances(trials: Sequence[Mapping[str, Any]], space: Mapping[str, Any]) -> dict[str, float]:
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


def _points(trials: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    pairs = [(_number((trial.get("params") or {}).get(name)), float(trial["value"])) for trial in trials]
    return [(x, y) for x, y in pairs if x is not None]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _cell(value: object) -> Value:
    number = _number(value)
    return Value(f"{number:.4g}", number) if number is not None else text("-" if value is None else str(value))


def _words(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_cell(value).text}" for name, value in params.items()) or "the preset's"


def _value(value: object) -> str:
    number = _number(value)
    return f"{number:.4f}" if number is not None else "no value"
