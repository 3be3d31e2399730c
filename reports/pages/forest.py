"""The forest plot of the first screen: each row's marks as percentages of one axis, so that it fits any width as text does."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from reports.page import Answer, Effect

_REACH = 4.0
"""Intervals this many times longer than the median are cut at the plot's edge; their text says where they end."""

_EDGE = 0.09
"""Labels this near to an end of the axis, a share of it, would leave the plot on a phone."""

_ROOM = 28
"""Characters of all labels together for which the axis has room."""


@dataclass(frozen=True)
class Forest:
    """An axis from `low` to `high`, in units of the metric."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """A position along the axis, such as '42.5%', kept inside the plot."""
        return f"{100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))):.2f}%"

    def width(self, low: float, high: float) -> str:
        """The length of an interval along the axis."""
        return f"{float(self.at(high)[:-1]) - float(self.at(low)[:-1]):.2f}%"

    def cut(self, value: float) -> bool:
        """Whether a value lies beyond the plot."""
        return not self.low <= value <= self.high

    def ticks(self) -> list[tuple[str, str, str]]:
        """Positions and labels of a few round numbers, zero among them; and how a label stands, so that none leaves the plot."""
        many = self._labels(6)
        labels = many if sum(len(text) for _, text in many) <= _ROOM else self._labels(4)

        def anchor(value: float) -> str:
            share = (value - self.low) / (self.high - self.low)
            return "start" if share < _EDGE else "end" if share > 1 - _EDGE else "middle"

        return [(self.at(value), text, anchor(value)) for value, text in labels]

    def _labels(self, bins: int) -> list[tuple[float, str]]:
        values = MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        step = values[1] - values[0]
        decimals = max(0, -math.floor(math.log10(step) + 1e-9)) + (not math.isclose(step, float(f"{step:.0e}")))
        inside = [value for value in values if self.low <= value <= self.high]
        return [(value, "0" if abs(value) < step / 1e6 else f"{value:+.{decimals}f}") for value in inside]


def axis(answer: Answer) -> Forest:
    """An axis that holds every mean, the margin, and every interval that is not far longer than the others."""
    spread = [(one.low, one.high) for one in answer.effects if one.low is not None and one.high is not None]
    usual = statistics.median([high - low for low, high in spread]) * _REACH if spread else 0.0
    ends = [-1.3 * answer.margin, 1.3 * answer.margin]
    for one in answer.effects:
        if one.gain is not None:
            ends.append(one.gain)
            ends += [_within(end, one, usual) for end in (one.low, one.high) if end is not None]
    low, high = min(ends), max(ends)
    pad = 0.04 * (high - low)
    return Forest(low - pad, high + pad)


def _within(end: float, one: Effect, usual: float) -> float:
    assert one.gain is not None
    return min(max(end, one.gain - usual), one.gain + usual)
