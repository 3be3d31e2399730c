"""Cells of tables, and tables from declared columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from reports.analysis.comparisons import Comparison
from reports.analysis.estimates import Estimate
from reports.analysis.words import shorten
from reports.page import Table, Value

if TYPE_CHECKING:
    from reports.analysis.costs import Ratio

NONE = "-"
"""A figure that does not exist."""
NAME_LENGTH = 200
"""Longer names are cut in tables, with their length said."""
EMPTY = Value(NONE)

Row = TypeVar("Row")


class Column(NamedTuple, Generic[Row]):
    """A heading, what a row has under it, and whether that is a figure (set to the right, sorted by its number)."""

    heading: str
    cell: Callable[[Row], Value]
    numeric: bool = True


def words(heading: str, of: Callable[[Row], str]) -> Column[Row]:
    """A column of words."""
    return Column(heading, lambda row: Value(of(row)), False)


def names(heading: str, of: Callable[[Row], str]) -> Column[Row]:
    """A column of names from records, which may be of any length."""
    return words(heading, lambda row: shorten(of(row), NAME_LENGTH))


def counts(heading: str, of: Callable[[Row], int | None]) -> Column[Row]:
    """A column of whole numbers without separators."""
    return Column(heading, lambda row: count(of(row)))


def table(
    id_: str,
    title: str,
    columns: Sequence[Column[Any]],
    rows: Iterable[Any],
    note: str = "",
    *,
    more: Sequence[Mapping[str, Value]] = (),
    drop_empty: bool = False,
) -> Table:
    """A table with one row for each of `rows`.

    Args:
        more: rows that are no results, by heading; what they lack is '-'.
        drop_empty: leave out columns in which no row has anything, such as the memory of a GPU that nobody used.
    """
    made = [[column.cell(row) for column in columns] for row in rows]
    made += [[one.get(column.heading, EMPTY) for column in columns] for one in more]
    kept = [k for k in range(len(columns)) if not drop_empty or any(row[k].text != NONE for row in made)]
    return Table(
        id_,
        title,
        tuple(columns[k].heading for k in kept),
        tuple(tuple(row[k] for k in kept) for row in made),
        tuple(columns[k].numeric for k in kept),
        note,
    )


def count(value: int | None) -> Value:
    """A cell with a whole number."""
    return EMPTY if value is None else Value(str(value), value)


def figure(value: float | None, decimals: int, *, sign: bool = False, suffix: str = "") -> Value:
    """A cell with a number; '-' without one."""
    if value is None or not math.isfinite(value):
        return EMPTY
    return Value(f"{_decimal(value, decimals, sign)}{suffix}", value)


def _decimal(value: float, decimals: int, sign: bool) -> str:
    rounded = round(value, decimals) or 0.0  # no minus before a zero
    return f"{rounded:{'+' if sign and rounded else ''},.{decimals}f}"


def significant(value: float | None, digits: int = 3) -> Value:
    """A cell with a number of about `digits` significant digits, written without an exponent."""
    if value is None or not math.isfinite(value):
        return EMPTY
    if value == 0:
        return Value("0", 0.0)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return Value(f"{value:,.{min(decimals, 12)}f}", value)


def interval(low: float | None, high: float | None, decimals: int, *, sign: bool = False) -> Value:
    """A cell with an interval, sorted by its lower end."""
    if low is None or high is None:
        return EMPTY
    return Value(f"[{_decimal(low, decimals, sign)}, {_decimal(high, decimals, sign)}]", low)


def probability(p: float | None) -> Value:
    """A cell with a p value."""
    if p is None:
        return EMPTY
    return Value("<0.001" if p < 0.001 else f"{p:.3f}", p)


def mean(estimate: Estimate, decimals: int) -> Value:
    """A cell with a mean over seeds. A seed without a finite value is named instead: a mean of the others would mislead."""
    if estimate.excluded:
        return Value(f"not finite (seed {', '.join(map(str, estimate.excluded))})")
    return figure(estimate.mean, decimals)


def spread(estimate: Estimate, decimals: int) -> Value:
    """A cell with the interval of a mean over seeds."""
    return EMPTY if estimate.excluded else interval(estimate.low, estimate.high, decimals)


def difference(comparison: Comparison | None, decimals: int = 4) -> Value:
    """A cell with a mean difference; '-' when a value is not finite."""
    return EMPTY if comparison is None or comparison.excluded else figure(comparison.mean, decimals, sign=True)


def difference_interval(comparison: Comparison | None, decimals: int = 4) -> Value:
    """A cell with the interval of a mean difference."""
    if comparison is None or comparison.excluded:
        return EMPTY
    return interval(comparison.low, comparison.high, decimals, sign=True)


def adjusted(comparison: Comparison | None) -> Value:
    """A cell with a Holm-adjusted p value."""
    return EMPTY if comparison is None or comparison.excluded else probability(comparison.p_adjusted)


def millions(value: float) -> Value:
    """Parameters in millions, or the plain number when it is small."""
    if not math.isfinite(value):
        return EMPTY
    return Value(f"{value / 1e6:.2f}M" if value >= 1e5 else f"{value:,.0f}", value)


def decimals(value: float | None) -> int:
    """Decimals that show about four significant digits."""
    return 0 if not value or not math.isfinite(value) else min(6, max(0, 3 - math.floor(math.log10(abs(value)))))


def gain(comparison: Comparison) -> str:
    """'+0.0120 [+0.0040, +0.0200]', to a tenth of the margin's digits; '-' where a run failed."""
    digits = decimals_of(comparison.margin)
    found = (difference(comparison, digits).text, difference_interval(comparison, digits).text)
    return " ".join(text for text in found if text != NONE) or NONE


def decimals_of(margin: float) -> int:
    """Decimals that show two digits of a margin: 4 for 0.005."""
    return min(12, max(0, 1 - math.floor(math.log10(margin))))


def cost_ratio(found: Ratio | None) -> Value:
    """A cell with a cost's ratio and its interval."""
    return EMPTY if found is None else Value(found.words, found.ratio)
