"""Plans are set operations over variants, interleaved by seed."""

from __future__ import annotations

import pytest

from harness.ablation.plan import COPY, Planned, arms, expand, parse_seeds, plan_variants, rows, swept
from harness.errors import RequestError
from harness.variant import CompositionError, Variants

VARIANTS = Variants(third_party=False)
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


def test_the_default_of_a_plan_is_the_ideas_and_of_networks_the_networks() -> None:
    ideas = plan_variants("add-one", None, (), VARIANTS)
    networks = plan_variants("networks", None, (), VARIANTS)
    assert ideas == ("attention", "base", "curriculum", "residual", "tta")
    assert {"convgru", "convlstm-stack", "simvp", "tau"} <= set(networks)
    assert not set(ideas) & set(networks)
    assert arms("add-one", ideas, VARIANTS.compose).names[-1] == "attention+curriculum+residual+tta"
    assert arms("networks", networks, VARIANTS.compose).names == ["base", *sorted(networks)]


def test_all_together_is_made_of_the_variants_that_compose_and_the_networks_are_named() -> None:
    found = arms("add-one", ["attention", "residual", "simvp", "curriculum"], VARIANTS.compose)
    assert found.names == ["base", "attention", "curriculum", "residual", "simvp", "attention+curriculum+residual"]
    assert found.left_out == {"simvp with others": "it replaces the network that they change"}
    found = arms("leave-one-out", ["attention", "residual", "simvp", "tau"], VARIANTS.compose)
    assert found.names == ["base", "attention+residual", "residual", "attention"]
    assert list(found.left_out) == ["simvp with others", "tau with others"]


def test_a_network_that_composes_stays_in_all_together() -> None:
    assert arms("add-one", ["convgru", "curriculum"], VARIANTS.compose).names[-1] == "convgru+curriculum"
    assert arms("add-one", ["simvp", "curriculum"], VARIANTS.compose).names[-1] == "curriculum+simvp"


def test_doses_of_one_variant_are_arms_and_never_together() -> None:
    found = arms("add-one", [f"attention(heads={heads})" for heads in (1, 4, 8)], VARIANTS.compose)
    assert found.names == ["base", "attention", "attention(heads=1)", "attention(heads=8)"]
    assert list(found.left_out) == ["attention+attention(heads=1)+attention(heads=8)"]
    with pytest.raises(RequestError, match="exclude each other"):
        arms("leave-one-out", ["attention", "attention(heads=1)"], VARIANTS.compose)


def test_a_factorial_plan_leaves_out_the_subsets_that_conflict() -> None:
    found = arms("factorial", ["attention", "simvp", "curriculum"], VARIANTS.compose)
    assert found.names == ["base", "attention", "curriculum", "simvp", "attention+curriculum", "curriculum+simvp"]
    assert set(found.left_out) == {"attention+simvp", "attention+curriculum+simvp"}


def test_a_conflict_that_the_user_names_is_an_error() -> None:
    with pytest.raises(CompositionError):
        arms("base,attention+simvp", (), VARIANTS.compose)


def test_networks_names_what_is_no_network() -> None:
    found = arms("networks", ["curriculum", "convgru+curriculum", "simvp(hidden=8)"], VARIANTS.compose)
    assert found.names == ["base", "convgru+curriculum", "simvp(hidden=8)"]
    assert found.left_out == {"curriculum": "does not replace the network or its cell"}
    with pytest.raises(RequestError, match="at least one variant that replaces the network"):
        arms("networks", ["curriculum"], VARIANTS.compose)


def test_a_sweep_is_variants_times_values() -> None:
    sweep = ["training.optimizer.lr=1e-3,3e-3", "training.batch_size=2"]
    plan = swept(["base", "attention(heads=8)"], sweep)
    assert arms(plan, (), VARIANTS.compose).names == [
        "base",
        "base(training.batch_size=2, training.optimizer.lr=0.001)",
        "base(training.batch_size=2, training.optimizer.lr=0.003)",
        "attention(heads=8, training.batch_size=2, training.optimizer.lr=0.001)",
        "attention(heads=8, training.batch_size=2, training.optimizer.lr=0.003)",
    ]
    assert plan_variants("add-one", None, sweep, VARIANTS) == ("base",)


@pytest.mark.parametrize("text", ["", "training.batch_size", "training.batch_size=", "=1,2"])
def test_a_sweep_without_path_or_values_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="path=value,value"):
        swept(["base"], [text])
    with pytest.raises(RequestError, match="leave --plan factorial out"):
        plan_variants("factorial", None, [text], VARIANTS)
