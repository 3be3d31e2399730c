"""What a comparison may claim, and the sentence that states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from reports.analysis.power import MINIMUM_SEEDS, MOST_SEEDS, seeds_as_observed, seeds_needed


class Kind(StrEnum):
    """What a verdict claims. HELPS and HURTS are in the metric's own direction."""

    HELPS = "helps"
    HURTS = "hurts"
    NO_DIFFERENCE = "no difference"
    IDENTICAL = "identical"
    NOT_ENOUGH = "not enough seeds"
    NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Verdict:
    """A claim and the sentence that states it.

    `seeds_needed` is a total (for unpaired comparisons: in each arm), set only for NOT_ENOUGH; None there means that more
    than 100,000 would be needed. `seeds_more` is what that adds to the seeds seen. `seeds_if_as_observed` is the smaller
    total that would do if the true effect were the observed mean; it is optimistic, since a mean from few seeds is often an
    exaggeration.
    """

    kind: Kind
    words: str
    seeds_needed: int | None = None
    seeds_more: int | None = None
    seeds_if_as_observed: int | None = None


DIRECTION_WORDS = {Kind.HELPS: "helps", Kind.HURTS: "hurts"}
INTERACTION_WORDS = {Kind.HELPS: "together better than the sum", Kind.HURTS: "together worse than the sum"}


def decide(
    mean: float,
    sd: float,
    p: float,
    q: float,
    *,
    n: int,
    margin: float,
    arms: Literal[1, 2],
    alpha: float,
    table: int,
    higher_is_better: bool,
    words: Mapping[Kind, str],
) -> Verdict:
    """The verdict from a mean difference, its spread and the adjusted p values of a difference (p) and equivalence (q).

    Args:
        n: seeds; with two `arms`, those of the smaller one.
        table: comparisons in the table, over which p and q are Holm-adjusted.
        words: what HELPS and HURTS are called.
    """
    if p <= alpha:
        kind = Kind.HELPS if (mean > 0) == higher_is_better else Kind.HURTS
        return Verdict(kind, words[kind] + (f", but by less than {margin:g}" if q <= alpha else ""))
    if q <= alpha:
        return Verdict(Kind.NO_DIFFERENCE, f"no difference beyond {margin:g}")

    step = alpha / table  # the strictest step of Holm: enough wherever the comparison falls in the order
    total = seeds_needed(sd, margin, alpha=step, arms=arms)
    observed = seeds_as_observed(mean, sd, margin, step, arms)
    seen = f"not enough seeds: {n}{' in the smaller arm' if arms == 2 else ''} seen; "
    whole = "in each arm" if arms == 2 else "in all"
    guess = f"the effect is what it looks like ({mean:+.3g})"
    if total is not None and total <= n:  # the plan is met, and the effect lies near the margin: go by what was seen
        if observed is None:
            return Verdict(Kind.NOT_ENOUGH, f"{seen}the effect is too near the margin of {margin:g} to settle")
        total = max(observed, n + 1)
        return Verdict(
            Kind.NOT_ENOUGH, f"{seen}about {total} {whole} ({total - n} more) would do if {guess}", total, total - n
        )
    if total is None:
        more, sentence = None, f"{seen}more than {MOST_SEEDS:,} would be needed to settle a difference of {margin:g}"
    else:
        more = total - n
        sentence = f"{seen}about {total} {whole} ({more} more) would settle a difference of {margin:g}"
    if observed is None or not n < observed < (total or MOST_SEEDS) or abs(mean) <= margin:
        return Verdict(Kind.NOT_ENOUGH, sentence, total, more)
    return Verdict(Kind.NOT_ENOUGH, f"{sentence}; about {observed} would do if {guess}", total, more, observed)


def too_few(n: int) -> Verdict:
    """Fewer than `MINIMUM_SEEDS`."""
    more = MINIMUM_SEEDS - n
    words = f"not enough seeds: {n} seen; at least {MINIMUM_SEEDS} are needed to judge the spread ({more} more)"
    return Verdict(Kind.NOT_ENOUGH, words, MINIMUM_SEEDS, more)


def unusable(excluded: tuple[int, ...]) -> Verdict:
    """Seeds without a finite value."""
    which = f"seed{'s' if len(excluded) > 1 else ''} {', '.join(map(str, excluded))}"
    return Verdict(
        Kind.NO_VERDICT, f"no verdict: the value of {which} is missing or not finite, and leaving it out would mislead"
    )


def no_spread(mean: float | None) -> Verdict:
    """The same non-zero difference in every seed."""
    size = "the same amount" if mean is None else f"{mean:+.6g}"
    return Verdict(
        Kind.NO_VERDICT, f"no verdict: differs by {size} in every seed, without spread to test against (do seeds act?)"
    )
