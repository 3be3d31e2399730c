"""Which column is what: arm, seed, metrics and costs, as they are named or guessed from the names that people give them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import RequestError, unknown
from reports.analysis.words import counted, shorten
from reports.judging import naming, tables

if TYPE_CHECKING:
    import pandas as pd

    Column = pd.Series[Any]

MOST_ARMS = 200
MOST_COSTS = 4


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user said; None and () where the file's names decide. The first of `metrics` is the primary one."""

    arm: str | None = None
    seed: str | None = None
    metrics: Sequence[str] = ()
    higher_is_better: bool | None = None
    reference: str | None = None
    costs: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of a file: `frame` has the columns 'arm' (text), 'seed' (int), and floats under the names of metrics and costs.

    A run that failed has NaN. `paired` is False without seeds: rows are then numbered within their arm. `understood` says what
    each column was taken for, `guessed` which of that the user did not say, `notes` what happened to rows.
    """

    frame: pd.DataFrame
    reference: str
    metrics: tuple[str, ...]
    higher_is_better: Mapping[str, bool]
    costs: tuple[str, ...]
    paired: bool
    understood: Mapping[str, str]
    guessed: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def arms(self) -> list[str]:
        """All arms, the reference first, the others in the file's order."""
        return [self.reference, *(arm for arm in dict.fromkeys(self.frame["arm"]) if arm != self.reference)]

    def values(self, name: str) -> dict[str, dict[int, float]]:
        """Arm -> seed -> value of a metric or cost."""
        found: dict[str, dict[int, float]] = {arm: {} for arm in self.arms}
        for arm, seed, value in zip(self.frame["arm"], self.frame["seed"], self.frame[name], strict=True):
            found[arm][int(seed)] = float(value)
        return found


def read_runs(given: Path | pd.DataFrame, asked: Asked) -> Runs:
    """The runs of a file or data frame. Raises RequestError where it cannot be read, or its columns cannot be told apart."""
    frame, notes = tables.read(given)
    return _Reader(tables.name_of(given), frame, asked, notes).runs()


@dataclass
class _Reader:
    path: str
    frame: pd.DataFrame
    asked: Asked
    notes: list[str]
    guessed: list[str] = field(default_factory=list)

    def runs(self) -> Runs:
        import pandas as pd

        arm, arms = self._arms()
        seed, seeds, arms = self._seeds(arm, arms)
        directions: dict[str, bool] = dict(self.frame.attrs.get("directions", {}))
        taken = {*arm.split(","), arm, seed}
        metrics = self._metrics(taken, directions)
        better = {name: self._direction(name, directions, primary=name == metrics[0]) for name in metrics}
        costs = self._costs({*taken, *metrics})
        table = pd.DataFrame({"arm": arms}, index=self.frame.index)
        for name in (*metrics, *costs):
            table[name] = self._numbers(name)
        if seeds is not None:
            table["seed"] = seeds
        table = self._without_unfinished(table, metrics)
        if seeds is None:
            table["seed"] = table.groupby("arm").cumcount()
        else:
            table = self._without_twins(table, metrics)
        reference = self._reference(list(dict.fromkeys(table["arm"])), arm)
        understood = {
            "arm": arm,
            "seed": seed or "none: rows are runs, unpaired",
            "metric": metrics[0],
            "reference": reference,
        }
        understood |= {f"metric {number}": name for number, name in enumerate(metrics[1:], 2)}
        understood |= {"better": "higher" if better[metrics[0]] else "lower", "costs": ", ".join(costs) or "none"}
        return Runs(
            frame=table, reference=reference, metrics=metrics, higher_is_better=better, costs=costs, paired=seeds is not None,
            understood=understood, guessed=tuple(self.guessed), notes=tuple(self.notes),
        )  # fmt: skip

    def _there(self, name: str, flag: str) -> str:
        """A column by its name, or by the end of its name where that is clear ('ssim' for 'metrics.ssim')."""
        columns = list(self.frame.columns)
        if name in columns:
            return name
        ends = [one for one in columns if naming.bare(one) == naming.bare(name)]
        if len(ends) == 1:
            return ends[0]
        raise RequestError(f"{flag}: {unknown('column', name, columns, label=f'{self.path} has')}")

    def _arms(self) -> tuple[str, Column]:
        if self.asked.arm is not None:
            columns = self.frame.columns
            given = [self.asked.arm] if self.asked.arm in columns else self.asked.arm.split(",")
            names = [self._there(one.strip(), "--arm") for one in given]
        else:
            order = naming.by_name(self.frame.columns, naming.ARMS)
            several = [one for one in order if self.frame[one].astype(str).nunique() > 1]
            if order and not several:
                only = shorten(_text(self.frame[order[0]].iloc[0]), 40)
                raise RequestError(
                    f"{self.path}: column {order[0]!r} has one arm, {only!r}; two are needed to compare, or name the column that "
                    f"has them with --arm: {_shown(self.frame.columns)}"
                )
            if not several:
                raise RequestError(
                    f"{self.path}: which column names the arms? Say --arm NAME (several: A,B); "
                    f"columns: {_shown(self.frame.columns)}"
                )
            names = several[:1]
            self.guessed.append("arm")
        texts = [self.frame[name].map(_text) for name in names]
        if len(names) == 1:
            found = texts[0]
        else:
            found = texts[0].radd(f"{naming.bare(names[0])}=")
            for name, text in zip(names[1:], texts[1:], strict=True):
                found = found + ", " + text.radd(f"{naming.bare(name)}=")
        empty = found.index[found == ""]
        if len(empty):
            raise RequestError(f"{self.path}: {empty[0]} has no {names[0]!r}, so it belongs to no arm ({len(empty)} such)")
        return ",".join(names), found

    def _seeds(self, arm: str, arms: Column) -> tuple[str | None, Column | None, Column]:
        """The seed's column, each row's seed, and the arms: names such as 'base-seed3' hold both."""
        import pandas as pd

        name = None
        if self.asked.seed is not None:
            name = self._there(self.asked.seed, "--seed")
        elif order := [one for one in naming.by_name(self.frame.columns, naming.SEEDS) if one not in arm.split(",")]:
            name = order[0]
            self.guessed.append("seed")
        if name is None:
            matches = [naming.NAMED_SEED.fullmatch(one) for one in arms]
            parts = [(match[1], int(match[2])) for match in matches if match]
            if len(parts) < len(matches):
                self._check_arms(arms, arm)
                return None, None, arms
            self.guessed.append("seed")
            self.notes.append(
                f"seeds were read from the ends of the names in {arm!r}, such as {shorten(arms.iloc[0], 60)!r}"
            )
            arms = pd.Series([one for one, _ in parts], index=arms.index)
            self._check_arms(arms, arm)
            return f"end of {arm}", pd.Series([seed for _, seed in parts], index=arms.index), arms
        self._check_arms(arms, arm)
        texts = self.frame[name].map(_text)
        empty = texts.index[texts == ""]
        if len(empty):
            raise RequestError(
                f"{self.path}: {empty[0]} has no {name!r} ({len(empty)} such rows); fill it, or choose another --seed"
            )
        whole = pd.to_numeric(texts, errors="coerce")
        if whole.notna().all() and (whole % 1 == 0).all() and (whole.abs() < 2**53).all():
            return name, whole.astype(int), arms
        numbers = {text: index for index, text in enumerate(sorted(set(texts)))}
        self.notes.append(f"the values of {name!r} are no whole numbers; they are numbered from 0 ({_shown(numbers)})")
        return name, texts.map(numbers), arms

    def _check_arms(self, arms: Column, name: str) -> None:
        count = arms.nunique()
        if count < 2:
            raise RequestError(f"{self.path}: column {name!r} has one arm, {arms.iloc[0]!r}; two are needed to compare")
        if count > MOST_ARMS:
            raise RequestError(
                f"{self.path}: column {name!r} has {count:,} values in {len(arms):,} rows; at most {MOST_ARMS} arms can be "
                f"judged together: name another column with --arm ({_shown(self.frame.columns)})"
            )

    def _metrics(self, taken: Iterable[str | None], directions: Mapping[str, bool]) -> tuple[str, ...]:
        if self.asked.metrics:
            names = [self._there(name, "--metric") for name in self.asked.metrics]
            if len(set(names)) < len(names):
                raise RequestError(f"--metric names {', '.join(names)}; name each metric once")
            return tuple(names)
        rest = [
            one for one in self.frame.columns if one not in set(taken) and not naming.is_cost(one) and self._is_numeric(one)
        ]
        for one in self.frame.columns:  # a metric by its name that holds a word would be passed over without one
            if (
                one not in {*taken, *rest}
                and naming.known_direction(one) is not None
                and _numbers(self.frame[one])[0].notna().any()
            ):
                self._numbers(one)
        known = [one for one in rest if one in directions or naming.known_direction(one) is not None]
        known.sort(key=naming.part_of_data)  # stable: the file's order within a part
        if not known and len(rest) == 1:
            known = rest
        if not known:
            raise RequestError(
                f"{self.path}: which column is the metric? Say --metric NAME; columns of numbers: {_shown(rest) or 'none'}"
            )
        self.guessed.append("metric")
        if len(known) > 1:
            self.notes.append(
                f"other metrics that were not judged: {_shown(known[1:])}; --metric chooses, the first is primary"
            )
        return (known[0],)

    def _direction(self, name: str, directions: Mapping[str, bool], *, primary: bool) -> bool:
        if primary and self.asked.higher_is_better is not None:
            return self.asked.higher_is_better
        known = directions.get(name, naming.known_direction(name))
        if known is None:
            also = "" if primary else " (those flags are for the first --metric; judge this one by itself)"
            seeds = next((f" ({one})" for one in self.notes if one.startswith("a column for each")), "")
            raise RequestError(f"is more of {name!r}{seeds} better? Say --higher-is-better or --lower-is-better{also}")
        if primary:
            self.guessed.append("better")
        return known

    def _costs(self, taken: set[str | None]) -> tuple[str, ...]:
        if self.asked.costs:
            return tuple(dict.fromkeys(self._there(name, "--cost") for name in self.asked.costs))
        found = [one for one in self.frame.columns if one not in taken and naming.is_cost(one) and self._is_numeric(one)]
        if found:
            self.guessed.append("costs")
        return tuple(found[:MOST_COSTS])

    def _reference(self, arms: Sequence[str], name: str) -> str:
        if self.asked.reference is not None:
            if self.asked.reference not in arms:
                raise unknown("arm", self.asked.reference, arms, label=f"column {name!r} has")
            return self.asked.reference
        found = [one for one in arms if one.lower() in naming.REFERENCES]
        if len(found) != 1:
            raise RequestError(f"{self.path}: which arm are the others compared with? Say --reference NAME: {_shown(arms)}")
        self.guessed.append("reference")
        return found[0]

    def _is_numeric(self, name: str) -> bool:
        numbers, wrong = _numbers(self.frame[name])
        return not wrong.any() and bool(numbers.notna().any())

    def _numbers(self, name: str) -> Column:
        numbers, wrong = _numbers(self.frame[name])
        if wrong.any():
            first = wrong.index[wrong.to_numpy()][0]
            value = shorten(str(self.frame[name][wrong.to_numpy()].iloc[0]), 60)
            raise RequestError(
                f"{self.path}: {first} has {value!r} in {name!r}, which is no number ({int(wrong.sum())} such); "
                "write decimals with a point, and leave the cell of a failed run empty"
            )
        return numbers

    def _without_unfinished(self, table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
        """By a column of states: failed runs have no result, those that still run are left out."""
        for name in naming.by_name(self.frame.columns, ("state", "status")):
            states = self.frame[name].map(_text).str.lower().map(naming.STATES)
            if states.isna().any():
                continue
            failed, running = states == "failed", states == "running"
            table = table.assign(failed=failed)
            table.loc[failed.to_numpy(), list(metrics)] = math.nan
            if failed.any():
                self.notes.append(
                    f"{counted(int(failed.sum()), 'run')} failed by column {name!r}: no result, whatever the cell says"
                )
            if running.any():
                self.notes.append(f"{counted(int(running.sum()), 'run')} not finished by column {name!r}: left out")
            return table[~running.to_numpy()]
        return table

    def _without_twins(self, table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
        """One row for each arm and seed: the same row twice counts once, a finished run replaces a failed one."""
        same = table.duplicated()
        if same.any():
            self.notes.append(f"{counted(int(same.sum()), 'row')} repeated another row's run and values: counted once")
            table = table[~same.to_numpy()]
        twice = table.duplicated(["arm", "seed"], keep=False)
        if twice.any() and "failed" in table:
            lost = table["failed"] & twice & ~table.assign(f=table["failed"]).groupby(["arm", "seed"])["f"].transform("all")
            if lost.any():
                self.notes.append(
                    f"{counted(int(lost.sum()), 'failed run')} was run again with the same seed: the finished one counts"
                )
                table = table[~lost.to_numpy()]
                twice = table.duplicated(["arm", "seed"], keep=False)
        if twice.any():
            first = table[twice.to_numpy()].iloc[0]
            rows = table[((table["arm"] == first["arm"]) & (table["seed"] == first["seed"])).to_numpy()]
            steps = naming.by_name(self.frame.columns, naming.STEPS)
            remedy = (
                f"they look like a curve over {steps[0]!r}: keep the row of each run that counts"
                if steps
                else "keep one row for each run, or name the column that tells them apart with --seed or --arm"
            )
            raise RequestError(
                f"{self.path}: arm {first['arm']!r} has {len(rows)} rows for seed {first['seed']} with different values "
                f"({', '.join(rows.index[:4])}{', ...' if len(rows) > 4 else ''}); {remedy}"
            )
        return table


def _text(value: object) -> str:
    """A cell as text: 3.0 as '3', nothing as ''."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _numbers(column: Column) -> tuple[Column, Column]:
    """A column as floats, NaN where a cell is empty or says so; and which cells hold neither."""
    import pandas as pd

    texts = column.map(lambda value: "" if value is None or value is pd.NaT else str(value).strip().lower())
    blank = texts.isin(naming.BLANK)
    numbers = pd.to_numeric(texts.where(~blank), errors="coerce").astype(float)
    plain = texts.str.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?")
    return numbers.where(plain), ~blank & ~plain.astype(bool)


def _shown(names: Iterable[object]) -> str:
    given = [shorten(str(one), 40) for one in names]
    return ", ".join(given[:12]) + (f" and {len(given) - 12} more" if len(given) > 12 else "")
