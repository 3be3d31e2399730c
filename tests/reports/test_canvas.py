"""What all plots share: styles, names that fit, and files that do not change."""

from __future__ import annotations

import pytest

from reports.analysis.comparisons import compare
from reports.analysis.groups import Group, Method
from reports.figures import canvas
from reports.page import Figure


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("attention", "attention"),
        ("base(training.steps=3600)", "base(training.steps=\n3600)"),
        ("attention+curriculum+residual", "attention+curriculum+\nresidual"),
        ("n" * 30, "n" * 22 + "\n" + "n" * 8),
    ],
)
def test_a_long_name_beside_an_axis_keeps_its_end(name: str, shown: str) -> None:
    assert canvas.in_lines(name) == shown
    assert max(map(len, canvas.in_lines("x+" * 200).splitlines())) <= canvas.SHORT


def method(name: str) -> Method:
    return Method(name, name, {})


def test_every_line_of_a_plot_looks_like_no_other_without_its_colour() -> None:
    looks = canvas.styles([method(f"arm-{k}") for k in range(canvas.MOST_LINES)])
    assert len({(one.marker, one.dash) for one in looks.values()}) == canvas.MOST_LINES
    assert (looks["arm-0"].color, looks["arm-0"].dash) == ("black", "-")
    assert "black" not in [one.color for name, one in looks.items() if name != "arm-0"]


def test_of_many_methods_the_reference_single_ideas_and_the_largest_composition_are_drawn() -> None:
    names = ["base", *(f"v{k}" for k in range(8)), "v0+v1", "v0+v1+v2"]
    check = compare({0: 0.0}, {0: 0.0}, name="v0")
    methods = tuple(map(method, names))
    group = Group("steps", {}, methods, methods[0], controls=(check,))
    shown = [one.label for one in canvas.chosen(group)]
    assert shown == ["base", "v1", "v2", "v3", "v4", "v5", "v0+v1+v2"]
    assert [one.label for one in canvas.chosen(group, 20)][-2:] == ["v0", "v0+v1+v2"], "controls where there is room"


def test_a_plot_is_written_alike_twice_and_leaves_the_settings_of_matplotlib_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)

    def made() -> Figure:
        with canvas.draw(1.0) as (plot, (axes,)):
            axes.plot([0, 1], [0, 1], label="$x$ 漢")
            canvas.legend(plot, axes)
            return canvas.save(plot, "a", "A", "", "a line")

    first = made()
    assert first == made()
    assert first.svg.lstrip().startswith("<?xml")
    assert first.png.startswith(b"\x89PNG")
    assert first.pdf.startswith(b"%PDF")
    assert dict(mpl.rcParams) == before


def test_a_legend_takes_as_many_columns_as_its_names_leave_room_for() -> None:
    def columns(*names: str) -> tuple[int, float]:
        with canvas.draw(1.0) as (plot, (axes,)):
            for name in names:
                axes.plot([0, 1], [0, 1], label=name)
            canvas.legend(plot, axes)
            return (plot.legends[0]._ncols if plot.legends else 0), plot.get_figheight()

    assert columns() == (0, 1.0)
    assert columns("a", "b", "c")[0] == 3
    wide, height = columns("n" * 40, "m" * 40)
    assert (wide, height) == (1, pytest.approx(1.32))
