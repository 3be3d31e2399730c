"""The forest plot of the first screen: an axis in percentages, and colours of its own."""

from __future__ import annotations

import re

import pytest
from sample_page import answer, sample_page

from reports.page import Answer, Effect
from reports.pages.forest import Forest, axis
from reports.pages.html import to_html


def test_the_forest_plot_has_its_colours_without_the_style_sheet() -> None:
    """WeasyPrint applies no style sheet inside of a plot: what has no colour of its own is black, or not there."""
    text = re.sub(r"<style>.*?</style>", "", to_html(sample_page()), flags=re.DOTALL)
    assert re.findall(r'<rect class="zone"(?! fill="#)', text) == []
    assert re.findall(r'<line class="(?:bar|zero)"(?! stroke="#)', text) == []
    marks = re.findall(r'<path class="mark" fill="(#\w+)"', text)
    verdicts = [one.verdict for one in answer().effects[1:]]
    assert len(marks) == len(verdicts)
    assert len(set(zip(marks, verdicts, strict=True))) == len(set(verdicts)) == len(set(marks))


def of(*intervals: tuple[float, float, float], margin: float = 0.005) -> Answer:
    effects = tuple(Effect(str(k), "helps", *one) for k, one in enumerate(intervals))
    return Answer("h", "s", "g", margin, effects)


def test_every_mean_and_the_margin_lie_within_the_axis() -> None:
    made = axis(of((0.02, 0.01, 0.03), (-0.04, -0.05, -0.03)))
    assert made.low < -0.05
    assert made.high > 0.03
    assert axis(of()).low < -0.005 < 0.005 < axis(of()).high


def test_an_interval_far_longer_than_the_others_is_cut_at_the_edge() -> None:
    made = axis(of((0.0, -0.01, 0.01), (0.001, -0.009, 0.011), (0.002, -5.0, 5.0)))
    assert made.high < 1
    assert (made.cut(5.0), made.cut(0.01)) == (True, False)
    assert (made.at(5.0), made.at(-5.0)) == ("100.00%", "0.00%")


def test_positions_and_widths_are_shares_of_the_axis() -> None:
    made = Forest(-1.0, 3.0)
    assert (made.at(0.0), made.at(3.0), made.width(0.0, 2.0)) == ("25.00%", "100.00%", "50.00%")


@pytest.mark.parametrize(("low", "high"), [(-0.06, 0.05), (-0.0011, 0.0204), (-70.0, 12.0), (-0.3, 0.1), (-0.007, 0.007)])
def test_ticks_are_round_in_the_axis_and_zero_is_among_them(low: float, high: float) -> None:
    made = Forest(low, high)
    ticks = made.ticks()
    assert "0" in [text for _, text, _ in ticks]
    assert sum(len(text) for _, text, _ in ticks) <= 28  # more touch each other in a column of the first screen
    for at, text, anchor in ticks:
        share = float(at.rstrip("%")) / 100
        assert low + share * (high - low) == pytest.approx(float(text), abs=1e-4 * (high - low) + 1e-12)
        assert anchor == ("start" if share < 0.09 else "end" if share > 0.91 else "middle")
