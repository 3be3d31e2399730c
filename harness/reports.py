"""What a report is to the engine: a named thing that rebuilds pages from a store. The reports are plugins (`harness.reports`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import RequestError
from harness.registry import Plugins

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs between two stores: a JSON document, the same in lines to print, and the answer.

    Args:
        regressed: something got worse.
        undecided: nothing is known to have got worse, but not all rows are equivalent or better.
    """

    document: dict[str, Any]
    lines: tuple[str, ...]
    regressed: bool
    undecided: bool = False


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Verdicts over a table of results: a JSON document, the same in lines to print, and notes on how the table was read.

    `write(out, pdf)` writes the page into a folder, as PDF too where `pdf` is true, and returns its files, the page first.
    """

    document: dict[str, Any]
    lines: tuple[str, ...]
    notes: tuple[str, ...]
    write: Callable[[Path, bool], list[Path]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a plan's runs say, for a terminal: a sentence, a table of arms, and what to check or do next; the same as a document."""

    document: dict[str, Any]
    headline: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report: `build(store, variants, out)` writes its files into the folder `out` and returns their paths.

    `compare(a, b, variants)` sets two folders side by side, each a store or what `build` wrote, and returns a `Difference`; it
    raises RequestError when nothing in them is comparable. `judge(given, arm=, seed=, metrics=, ...)` judges a table that others
    made (a file, or a data frame) and returns a `Judgement`. `answer(store, variants, plan)` says what the runs of a plan (the
    stem of its file under plans/) say, as an `Answer`, or None while there are none; a `build` that takes `told` is given a
    function, which it calls with the answer of its page. All may take options by keyword, such as `margin`: see `options`.
    """

    name: str
    summary: str
    build: Callable[..., list[Path]]
    compare: Callable[..., Difference] | None = None
    judge: Callable[..., Judgement] | None = None
    comparisons: Callable[[Path, Mapping[str, Any]], DataFrame] | None = None
    site: Callable[..., list[Path]] | None = None
    answer: Callable[..., Answer | None] | None = None

    def options(self, function: Callable[..., Any], **given: object) -> dict[str, object]:
        """The options that the user gave (not None). Raises RequestError for one that the report's function does not take."""
        wanted = {name: value for name, value in given.items() if value is not None}
        for name in wanted:
            if name not in inspect.signature(function).parameters:
                raise RequestError(f"report {self.name!r} takes no --{name}; leave it out")
        return wanted


def comparisons(runs: Mapping[Path, Any]) -> DataFrame:
    """The comparisons that the report makes among runs of one store, by their folders; none without runs.

    The values are what was read of each run (a `harness.store.status.Standing`), which is not read again, or None.

    Raises RequestError when no report that compares is installed.
    """
    import pandas as pd

    report: Report = Plugins("harness.reports", Report).get("ablation")
    if report.comparisons is None:
        raise RequestError("the report 'ablation' that is installed gives no comparisons")
    roots = {path.parent.parent for path in runs}
    return (
        report.comparisons(roots.pop(), {path.name: one for path, one in runs.items()})
        if len(roots) == 1
        else pd.DataFrame()
    )


def answer(store: object, variants: object, plan: str) -> Answer | None:
    """What the runs of a plan say by now; None while there are none, or where the report that is installed has no answers.

    Args:
        store: the `harness.store.Store`.
        variants: the installed variants (`harness.variant.Variants`).
        plan: the stem of the plan's file under plans/.

    Raises RequestError when no report that compares is installed.
    """
    report: Report = Plugins("harness.reports", Report).get("ablation")
    return None if report.answer is None else report.answer(store, variants, plan)
