"""Plans are set operations over variants, interleaved by seed."""

from __future__ import annotations

import pytest

from harness.ablation.plan import COPY, Planned, expand, parse_seeds, rows
from harness.errors import RequestError

FACTORS = ("residual", "attention", "tta")


def test_add_one_is_base_each_alone_and_all_together() -> None:
    assert rows("add-one", FACTORS) == ["base", "attention", "residual", "tta", "attention+residual+tta"]


def test_add_one_of_one_variant_names_no_composition_twice() -> None:
    assert rows("add-one", ["attention"]) == ["base", "attention"]


def test_leave_one_out_is_all_together_and_all_but_each() -> None:
    assert rows("leave-one-out", FACTORS) == [
        "base",
        "attention+residual+tta",
        "residual+tta",
        "attention+tta",
        "attention+residual",
    ]


def test_factorial_is_every_subset_once() -> None:
    found = rows("factorial", FACTORS)
    assert len(found) == len(set(found)) == 2**3
    assert {frozenset(row.split("+")) - {"base"} for row in found} >= {frozenset(), frozenset(FACTORS)}


def test_named_compositions_are_taken_in_order_with_base_first_and_equal_sets_once() -> None:
    assert rows("attention,tta+residual,residual+tta", ()) == ["base", "attention", "residual+tta"]


def test_the_order_of_the_variants_does_not_matter() -> None:
    for plan in ("add-one", "leave-one-out", "factorial"):
        assert rows(plan, FACTORS) == rows(plan, FACTORS[::-1])


def test_a_plan_stopped_early_is_balanced() -> None:
    cells = expand("add-one", rows("add-one", FACTORS), (0, 1, 2))
    width = len(rows("add-one", FACTORS))
    assert [cell.seed for cell in cells] == [0] * width + [1] * width + [2] * width


def test_an_a_a_plan_is_base_against_base_with_other_seeds() -> None:
    cells = expand("a-a", (), (0, 1))
    assert {cell.variant for cell in cells} == {"base"}
    copies = {cell.seed for cell in cells if cell.label == COPY}
    originals = {cell.seed for cell in cells if cell.label == "base"}
    assert len(copies) == len(originals) == 2
    assert not copies & originals
    assert cells[0] == Planned("base", "base", 0)


@pytest.mark.parametrize(("text", "seeds"), [("3", (0, 1, 2)), ("0,3,7", (0, 3, 7)), ("5,", (5,)), (" 1 , 2 ", (1, 2))])
def test_seeds_are_a_number_or_a_list(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "a", "1,1", ",", "99999999"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="--seeds"):
        parse_seeds(text)


@pytest.mark.parametrize("plan", ["add-one", "leave-one-out", "factorial"])
def test_a_plan_needs_a_variant(plan: str) -> None:
    with pytest.raises(RequestError, match="at least one variant"):
        rows(plan, ["base"])


def test_an_unknown_plan_names_the_known_ones() -> None:
    with pytest.raises(RequestError, match=r"unknown plan 'add-two'.*add-one"):
        rows("add-two", FACTORS)


def test_a_factorial_plan_too_large_to_run_is_refused() -> None:
    with pytest.raises(RequestError, match="512 rows"):
        rows("factorial", [f"v{i}" for i in range(9)])
