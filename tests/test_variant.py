"""A variant is a delta; a composition is the union of deltas, in no order."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harness.errors import RequestError
from harness.presets import preset
from harness.variant import CompositionError, Variant, Variants, compose, describe

EVERY = [plugin.value for plugin in Variants(third_party=False)]
ARTICLE = ("base", "residual", "attention", "curriculum", "tta")
BUILT_IN = [one for one in EVERY if one.name in ARTICLE]
"""The article's, which all compose."""
TINY = preset("tiny")


def variant(name: str, **changes: object) -> Variant:
    return Variant(
        name=name, summary="s", source="t", changes={path.replace("__", "."): value for path, value in changes.items()}
    )


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(BUILT_IN), min_size=1, max_size=6), st.randoms())
def test_composition_commutes_and_is_idempotent(given: list[Variant], random: object) -> None:
    shuffled = [*given, *given]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = compose(given), compose(shuffled)
    assert one == other
    assert one.name == other.name
    assert one.apply(TINY) == other.apply(TINY)
    assert compose(one.variants) == one


def test_applying_a_composition_twice_changes_nothing_more() -> None:
    everything = compose(BUILT_IN)
    once = everything.apply(TINY)
    assert everything.apply(once) == once != TINY


def test_applying_together_equals_applying_one_after_the_other_in_any_order() -> None:
    together = compose(BUILT_IN).apply(TINY)
    for order in itertools.islice(itertools.permutations(BUILT_IN), 0, None, 17):
        experiment = TINY
        for one in order:
            experiment = compose([one]).apply(experiment)
        assert experiment == together


def test_base_is_neutral_and_leaves_no_name() -> None:
    base = next(one for one in BUILT_IN if one.name == "base")
    assert compose([base]).apply(TINY) == TINY
    assert compose([base]).name == compose([base, base]).name == "base"
    for one in EVERY:
        assert compose([base, one]) == compose([one])
        assert compose([one, base]).name == one.name


def test_the_name_of_a_composition_lists_its_variants_in_alphabetical_order() -> None:
    assert compose(reversed(BUILT_IN)).name == "attention+curriculum+residual+tta"


def test_composing_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="no variant given"):
        compose([])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("training.max_lr", "training.max_lr"),
        ("architecture.skip", "architecture.skip.kernel"),
        ("architecture", "architecture.skip"),
    ],
)
def test_equal_and_nested_claims_conflict_and_both_variants_are_named(one: str, other: str) -> None:
    first, second = variant("early", **{one: 1}), variant("late", **{other: 2})
    for order in ((first, second), (second, first)):
        with pytest.raises(CompositionError) as refused:
            compose([*order, BUILT_IN[-1]])
        assert "'early'" in str(refused.value)
        assert "'late'" in str(refused.value)
        assert refused.value.exit_code == 2


@pytest.mark.parametrize("slot_filler", ["attention", "residual", "convgru"])
@pytest.mark.parametrize("network", ["simvp", "predrnn", "phydnet"])
def test_a_network_and_what_fills_the_slots_of_another_are_refused_by_name(network: str, slot_filler: str) -> None:
    with pytest.raises(
        CompositionError, match=f"'{min(network, slot_filler)}' and '{max(network, slot_filler)}' both change"
    ):
        Variants(third_party=False).compose(f"{network}+{slot_filler}")


@pytest.mark.parametrize("text", ["convgru+curriculum", "predrnn+tta", "attention+convgru+residual", "curriculum+simvp+tta"])
def test_networks_compose_with_what_they_do_not_replace(text: str) -> None:
    variants = Variants(third_party=False)
    assert variants.compose(text).name == text
    for name in ("tiny", "cpu", "evening", "paper"):
        variants.compose(text).apply(preset(name), name)


def test_claims_that_merely_start_alike_do_not_conflict() -> None:
    composed = compose([variant("a", loss__ssim=0.5), variant("b", loss__ssim_from=0.1)])
    assert composed.apply(TINY).get("loss.ssim.start") == 0.1


def test_a_conflict_is_found_before_anything_is_applied() -> None:
    with pytest.raises(CompositionError, match="run them one at a time, or leave one out"):
        compose([variant("a", training__steps="nonsense"), variant("b", training__steps=3)])


@pytest.mark.parametrize("name", ["a", "residual-2", "a_b", "x" * 64])
def test_a_good_name_is_taken(name: str) -> None:
    assert variant(name).name == name


@pytest.mark.parametrize("name", ["", "A", "2fast", "a+b", "a b", "a/b", "../a", "é", "x" * 65, "a\n", "-a"])
def test_a_name_that_could_be_misread_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="use lower-case letters"):
        variant(name)


def test_the_changes_of_a_variant_cannot_be_edited() -> None:
    mutable = {"loss.mse": 0.5}
    made = Variant(name="a", summary="s", source="t", changes=mutable)
    mutable["loss.mse"] = 0.9
    assert made.changes["loss.mse"] == 0.5
    with pytest.raises(TypeError):
        made.changes["loss.mse"] = 0.1  # type: ignore[index]


@pytest.mark.parametrize(
    "changes",
    [{"architecture__gan": 1.0}, {"nothing": 1}, {"training__steps": "many"}, {"architecture__skip": object()}],
)
def test_a_change_that_no_experiment_can_take_is_found_by_check(changes: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        variant("mine", **changes).check()


def test_a_change_for_something_that_is_no_path_is_refused() -> None:
    with pytest.raises(RequestError, match=r"a change of 'mine' is for 7; give a path"):
        Variant(name="mine", summary="s", source="t", changes={7: 1}).check()  # type: ignore[dict-item]  # the mistake


def test_a_change_that_only_fits_another_preset_passes_check() -> None:
    variant("mine", architecture__widths=(4,), architecture__kernels=(3,), data__canvas=20, inference__views="hflip").check()


def test_describing_a_variant_gives_plain_json() -> None:
    odd = variant("odd", loss__mse=0.5, inference__views=("hflip",), data__frames={1, 2}, training__curriculum=None)
    for one in (*EVERY, odd):
        assert json.loads(json.dumps(describe(one)))["name"] == one.name
