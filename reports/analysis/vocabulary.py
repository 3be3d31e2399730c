"""The five words of a verdict, in the order in which a page names them."""

from __future__ import annotations

from reports.analysis.comparisons import Comparison

VERDICTS = ("helps", "hurts", "equivalent", "failed", "undecided")


def verdict(comparison: Comparison) -> str:
    """One of `VERDICTS`."""
    return comparison.verdict.kind.value
