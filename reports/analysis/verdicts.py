"""What a comparison may claim, and the sentence that states it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from reports.analysis.power import MINIMUM_SEEDS, MOST_SEEDS, seeds_as_observed, seeds_needed


class Kind(StrEnum):
    """What a verdict claims, in the metric's own direction. The same five words stand in code, pages and JSON.

    The first that applies:

    FAILED: a seed of the arm, or of what it is compared with, gave no finite result. The others are not judged without it.
    EQUIVALENT: the difference lies within the margin (TOST, adjusted), whichever sign it has; identical runs are equivalent.
    HELPS, HURTS: the adjusted interval lies above, or below, 0. `Verdict.beyond_margin` says whether all of the joint interval
    lies beyond the margin as well; if not, the words say so.
    UNDECIDED: anything else, with the seeds that it would take.
    """

    HELPS = "helps"
    HURTS = "hurts"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """A claim and the sentence that states it.

    `seeds_needed` is a total (for unpaired comparisons: in each arm), set only for UNDECIDED; None there means that more than
    100,000 would be needed, or that no number of seeds can tell. `seeds_more` is what that adds to the seeds seen.
    `seeds_if_as_observed` is the smaller total that would do if the true effect were the observed mean; it is optimistic, since
    a mean from few seeds is often an exaggeration.
    """

    kind: Kind
    words: str
    seeds_needed: int | None = None
    seeds_more: int | None = None
    seeds_if_as_observed: int | None = None
    beyond_margin: bool = False
    """For HELPS and HURTS: the whole joint interval lies beyond the margin."""


DIRECTION_WORDS = {Kind.HELPS: "helps", Kind.HURTS: "hurts"}
INTERACTION_WORDS = {Kind.HELPS: "together better than the sum", Kind.HURTS: "together worse than the sum"}


def decide(
    mean: float,
    sd: float,
    p: float,
    q: float,
    *,
    beyond: bool,
    n: int,
    margin: float,
    arms: Literal[1, 2],
    alpha: float,
    table: int,
    higher_is_better: bool,
    words: Mapping[Kind, str],
    fewest: int = MINIMUM_SEEDS,
) -> Verdict:
    """The verdict from a mean difference, its spread and the adjusted p values of a difference (p) and equivalence (q).

    Args:
        beyond: whether the joint interval lies beyond the margin.
        n: seeds; with two `arms`, those of the smaller one.
        table: comparisons in the table, over which p and q are Holm-adjusted.
        words: what HELPS and HURTS are called.
        fewest: seeds below which the test can say nothing.
    """
    if q <= alpha:
        side = "" if p > alpha else (", better" if (mean > 0) == higher_is_better else ", worse") + " by less"
        return Verdict(Kind.EQUIVALENT, f"equivalent within {margin:g}{side}")
    if p <= alpha:
        kind = Kind.HELPS if (mean > 0) == higher_is_better else Kind.HURTS
        size = f"by more than {margin:g}" if beyond else f"though by more than {margin:g} is not shown"
        return Verdict(kind, f"{words[kind]}{' ' if beyond else ', '}{size}", beyond_margin=beyond)

    step = alpha / table  # the strictest step of Holm: enough wherever the comparison falls in the order
    total, observed = (
        None if found is None else max(found, fewest)
        for found in (seeds_needed(sd, margin, alpha=step, arms=arms), seeds_as_observed(mean, sd, margin, step, arms))
    )
    seen = f"undecided: {n} seeds{' in the smaller arm' if arms == 2 else ''} seen; "
    whole = "in each arm" if arms == 2 else "in all"
    guess = f"the effect is what it looks like ({mean:+.3g})"
    if total is not None and total <= n:  # the plan is met, and the effect lies near the margin: go by what was seen
        if observed is None:
            return Verdict(Kind.UNDECIDED, f"{seen}the effect is too near the margin of {margin:g} to settle")
        total = max(observed, n + 1)
        return Verdict(
            Kind.UNDECIDED, f"{seen}about {total} {whole} ({total - n} more) would do if {guess}", total, total - n
        )
    if total is None:
        more, sentence = None, f"{seen}more than {MOST_SEEDS:,} would be needed to settle a difference of {margin:g}"
    else:
        more = total - n
        sentence = f"{seen}about {total} {whole} ({more} more) would settle a difference of {margin:g}"
    if observed is None or not n < observed < (total or MOST_SEEDS) or abs(mean) <= margin:
        return Verdict(Kind.UNDECIDED, sentence, total, more)
    return Verdict(Kind.UNDECIDED, f"{sentence}; about {observed} would do if {guess}", total, more, observed)


def too_few(n: int) -> Verdict:
    """Fewer than `MINIMUM_SEEDS`."""
    more = MINIMUM_SEEDS - n
    seen = f"{n} seed{'' if n == 1 else 's'} seen"
    words = f"undecided: {seen}; at least {MINIMUM_SEEDS} are needed to judge the spread ({more} more)"
    return Verdict(Kind.UNDECIDED, words, MINIMUM_SEEDS, more)


def failed(arm: Sequence[int], reference: Sequence[int]) -> Verdict:
    """Seeds without a finite result, by side: failed, diverged, or with every step skipped."""
    sides = [
        f"{whose} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        for whose, seeds in (("its", arm), ("the reference's", reference))
        if seeds
    ]
    return Verdict(
        Kind.FAILED, f"failed: {' and '.join(sides)} gave no finite result; the other seeds are not judged without"
    )


def identical(n: int, exact: bool) -> Verdict:
    """No difference in any common seed, however few they are."""
    where = "in 1 common seed" if n == 1 else f"in all {n} common seeds"
    return Verdict(Kind.EQUIVALENT, f"equivalent: identical {where}, {'to the last bit' if exact else 'up to rounding'}")


def no_spread(mean: float | None) -> Verdict:
    """The same non-zero difference in every seed."""
    size = "the same amount" if mean is None else f"{mean:+.6g}"
    return Verdict(
        Kind.UNDECIDED, f"undecided: differs by {size} in every seed, without spread to test against (do seeds act?)"
    )
