"""The section of each study: every trial, the fixed arms, where the best setting lies, and what mattered.

It reads the records that a study writes (see `harness.studies`), not Optuna's storage. Values are validation SSIM: they choose a
setting and prove nothing; what `--confirm` tested is said apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import HarnessError
from harness.store import Folder, Store
from reports import cells
from reports.analysis.words import label, real
from reports.cells import Column, counts, table, words
from reports.page import Section, Table, Value

MOST_STUDIES = 12

Record = Mapping[str, Any]


def sections(store: Store) -> list[Section]:
    """One section a study, in the order of their ids; the last one names those beyond `MOST_STUDIES`. Empty without studies."""
    found: list[Section] = []
    paths = sorted((store.root / "studies").glob("*.json"))
    for path in paths[:MOST_STUDIES]:
        try:
            record = Folder(path.parent).read(path.name)
            found.append(_section(record, f"study-{len(found) + 1}"))
        except (HarnessError, KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{path.name} is not a whole record of a study: {error}"
            found.append(Section(f"study-{len(found) + 1}", "A study that cannot be read", (reason[:500],)))
    if left := [path.stem for path in paths[MOST_STUDIES:]]:
        named = f"{len(left)} more studies are in this store and not shown here: {', '.join(left)}."
        found.append(Section(f"study-{len(found) + 1}", "Studies left out", (named[:2000],)))
    return found


def _section(record: Record, key: str) -> Section:
    from reports.figures import studies as figures

    trials: list[Any] = record["trials"]
    if not isinstance(trials, list) or not all(isinstance(trial, dict) for trial in trials):
        raise ValueError("its trials are not a list of trials")
    complete = [trial for trial in trials if trial["state"] == "COMPLETE" and real(trial.get("value")) is not None]
    space = record["space"]
    parameters = [str(name) for name in space]
    two = len(record.get("objectives") or []) > 1
    tables = [_trials(f"{key}-trials", trials, parameters, two), _arms(f"{key}-arms", record["arms"])]
    if record.get("confirm"):
        tables.append(_confirmed(f"{key}-confirmed", record["confirm"]))
    drawn = [
        figures.history(f"{key}-history", complete),
        figures.slices(f"{key}-slices", complete, parameters, space),
        figures.contour(f"{key}-contour", complete, parameters, space),
        figures.importance(f"{key}-importance", complete, space),
    ]
    study, variant, preset = (label(str(record[name])) for name in ("study", "variant", "preset"))
    return Section(
        key,
        f"Study {study} of {variant}, preset {preset}",
        tuple(_sentences(record, len(complete))),
        tuple(one for one in tables if one.rows),
        tuple(one for one in drawn if one is not None),
        commands=(str(record["command"])[:1000],) if record.get("command") else (),
    )


def _sentences(record: Record, complete: int) -> list[str]:
    numbers = ", ".join(f"{count} {state}" for state, count in record["counts"].items() if count)
    seeds = len(record.get("seeds") or [0])
    lines = [
        f"Trials: {numbers or 'none'}. The value is validation SSIM "
        f"({'of one seed' if seeds == 1 else f'mean over {seeds} seeds'}), never test data."
    ]
    if best := record.get("best"):
        owned = {path: value for path, value in (best.get("settings") or {}).items() if path in (record.get("owns") or [])}
        lines.append(
            f"The best setting is trial {best['number']}"
            + (f" ({best['arm']})" if best.get("arm") else "")
            + f": {_setting(best['params'])}"
            + (f", that is {_setting(owned)}" if owned else "")
            + f", with {_value(best['value'])}{_over_arms(best, record['arms'])}. It was chosen among {complete} for that value, "
            "which therefore flatters it."
        )
    if front := record.get("front"):
        lines.append(f"No trial beats these in both validation SSIM and training seconds: {', '.join(map(str, front))}.")
    if confirm := record.get("confirm"):
        lines.append(f"On seeds that the search did not use: {confirm['verdict']}")
    else:
        lines.append(
            "Not confirmed: run the study's command with --confirm 5 to test the best setting and the arms on new seeds."
        )
    return lines


def _over_arms(best: Record, arms: Sequence[Record]) -> str:
    """How much more the best setting has than each fixed arm that is not itself."""
    value = real(best["value"])
    parts = []
    for arm in arms:
        other = real(arm.get("value"))
        if value is not None and other is not None and arm["name"] != best.get("arm"):
            parts.append(f"{value - other:+.4f} over {arm['name']} ({other:.4f})")
    return f": {', '.join(parts)}" if parts else ""


def _trials(key: str, trials: Sequence[Record], parameters: Sequence[str], two: bool) -> Table:
    def parameter(name: str) -> Column[Record]:
        return Column(name, lambda trial: _cell((trial.get("params") or {}).get(name)))

    def runs(trial: Record) -> list[str]:
        return [str(run) for run in trial.get("run_ids") or []]

    seconds: Column[Record] = Column(
        "seconds", lambda trial: cells.figure(real((trial.get("values") or [None, None])[1]), 1)
    )
    columns: list[Column[Record]] = [
        Column("trial", lambda trial: Value(str(trial["number"]), float(trial["number"]))),
        words("state", lambda trial: str(trial["state"]).lower()),
        words("arm", lambda trial: str(trial.get("arm") or cells.NONE)),
        *map(parameter, parameters),
        Column("validation SSIM", lambda trial: cells.figure(real(trial.get("value")), 4)),
        *([seconds] if two else []),
        counts("seeds", lambda trial: len(runs(trial))),
        words("runs", lambda trial: " ".join(runs(trial)) or cells.NONE),
    ]
    return table(key, "Trials", columns, trials, "A pruned trial's value is what it had reached when it was stopped.")


def _arms(key: str, arms: Sequence[Record]) -> Table:
    columns: list[Column[Record]] = [
        words("arm", lambda arm: str(arm["name"])),
        words("setting", lambda arm: _setting(arm.get("params") or {})),
        Column("validation SSIM", lambda arm: cells.figure(real(arm.get("value")), 4)),
        words("role", lambda arm: "reference" if arm.get("reference") else cells.NONE),
        words("note", lambda arm: str(arm.get("note") or cells.NONE)),
    ]
    return table(key, "Fixed arms", columns, arms, "Settings of the article, tried first in every study of this name.")


def _confirmed(key: str, confirm: Record) -> Table:
    def seed(name: str) -> Column[Record]:
        return Column(f"seed {name}", lambda row: cells.figure(real(row["values"].get(name)), 4))

    columns: list[Column[Record]] = [
        words("setting", lambda row: str(row["name"])),
        words("parameters", lambda row: _setting(row["settings"])),
        Column("test SSIM, mean", lambda row: cells.figure(real(row.get("mean")), 4)),
        *(seed(str(one)) for one in confirm["seeds"]),
    ]
    return table(key, "Confirmed on new seeds, test sequences", columns, confirm["rows"], str(confirm["verdict"]))


def _cell(value: object) -> Value:
    number = real(value)
    return Value(f"{number:.4g}", number) if number is not None else Value(cells.NONE if value is None else str(value))


def _setting(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_cell(value).text}" for name, value in values.items()) or "the preset's"


def _value(value: object) -> str:
    number = real(value)
    return f"{number:.4f}" if number is not None else "no value"
