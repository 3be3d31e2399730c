"""What the verdicts of plans can promise, by their size: simulated tables with a known truth, judged by the reports' own procedure.

    python benchmarks/statistics_simulation.py [--tables 2000] [--seed 0] [--out FOLDER]

`reports.analysis.simulated` says what a table is, and the kinds of noise; a report simulates its own size when it is made. The exit
code is 1 if a promise is broken: the lower end of the exact 95% interval of a family-wise error lies above 5%.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from reports.analysis.simulated import ALPHA, OUTSIDE, PROMISED, Rates, rates

SEEDS, ARMS, TESTS = (3, 5, 8, 12, 20, 30), (1, 5, 12), ("t", "signed-rank")


def measure(tables: int, seed: int) -> list[dict[str, Any]]:
    """A row for each size, test and kind of noise."""
    sizes = itertools.product(TESTS, ARMS, SEEDS, (*PROMISED, OUTSIDE))
    return [
        {"test": test, "arms": arms, "seeds": n, "noise": kind, **rates(kind, n, arms, test, tables, seed)._asdict()}
        for test, arms, n, kind in sizes
    ]


def broken(rows: list[dict[str, Any]], tables: int) -> list[str]:
    """The promises that the figures break."""
    from scipy import stats

    found = []
    for row, what in itertools.product(rows, ("false_difference", "false_equivalence")):
        low = stats.binomtest(round(row[what] * tables), tables).proportion_ci(0.95).low
        if row["noise"] in PROMISED and low > ALPHA:
            found.append(f"{what} of {row['test']} with {row['seeds']} seeds, {row['arms']} arms, {row['noise']}")
    return found


def markdown(rows: list[dict[str, Any]]) -> str:
    """The figures as percentages."""
    heads = ("test", "arms", "seeds", "noise", *Rates._fields)
    lines = [
        "| " + " | ".join(one.replace("_", " ") for one in heads) + " |",
        "| " + " | ".join(["---"] * len(heads)) + " |",
    ]
    for row in rows:
        cells = [f"{100 * row[name]:.1f}" if name in Rates._fields else str(row[name]) for name in heads]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tables", type=int, default=2000, help="for every figure (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (0)")
    parser.add_argument("--out", type=Path, help="write promises.json and tables.md into this folder")
    options = parser.parse_args(arguments)
    if options.tables < 1:
        parser.error("--tables must be at least 1")
    begun = time.perf_counter()
    rows = measure(options.tables, options.seed)
    wrong = broken(rows, options.tables)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        document = {"tables": options.tables, "seed": options.seed, "alpha": ALPHA, "rows": rows, "broken": wrong}
        (options.out / "promises.json").write_text(json.dumps(document, indent=1) + "\n")
        (options.out / "tables.md").write_text(markdown(rows))
    print(markdown(rows))
    print(f"{time.perf_counter() - begun:.0f} s; {'; '.join(wrong) or 'all promises kept'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
