"""The contract of variants finds the mistake, and no other."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from harness.testing import VariantContract

HERE = Path(__file__).parents[1] / "contract"

BROKEN = HERE / "broken_plugins.py"


def wrong(name: str, folder: Path) -> set[str]:
    """The tests of the contract that a variant of the broken plugins fails."""

    class Contract(VariantContract):
        variant = name
        plugin = BROKEN
        __test__ = False

    failed = set()
    for test in dir(Contract):
        if test.startswith("test_"):
            method = getattr(Contract(), test)
            with pytest.MonkeyPatch.context() as monkeypatch:
                fixtures = {"tmp_path": folder / test, "monkeypatch": monkeypatch}
                try:
                    method(**{one: fixtures[one] for one in inspect.signature(method).parameters})
                except (Exception, pytest.fail.Exception):
                    failed.add(test)
    return failed


@pytest.mark.parametrize(
    ("name", "tests"),
    [
        (
            "wrong-shape",  # refused by the network itself, so in every test that runs it
            {
                "every_parameter_learns",
                "is_a_function_of_its_input",
                "learns_in_16_bits",
                "maps_frames_to_every_horizon",
                "predicts_the_mean_over_its_views",
                "sequences_of_a_batch_do_not_mix",
                "the_fast_path_equals_the_reference",
                "trains_to_a_finite_result",
            },
        ),
        ("dead-parameter", {"every_parameter_learns"}),
        ("order-dependent", {"initial_weights_follow_from_the_seed_alone", "the_fast_path_equals_the_reference"}),
        ("mixes-sequences", {"sequences_of_a_batch_do_not_mix"}),
        (
            "random",
            {
                "is_a_function_of_its_input",
                "the_fast_path_equals_the_reference",
                "predicts_the_mean_over_its_views",
                "sequences_of_a_batch_do_not_mix",
                "trains_to_a_finite_result",
            },
        ),
        ("undocumented", {"components_are_frozen_documented_and_comparable"}),
        ("shrinking", {"a_curriculum_grows_to_the_full_horizon"}),
        ("speechless", {"loads_and_says_what_it_is_and_where_it_comes_from"}),
        ("sourceless", {"loads_and_says_what_it_is_and_where_it_comes_from"}),
    ],
)
def test_the_contract_finds_the_mistake_and_no_other(name: str, tests: set[str], tmp_path: Path) -> None:
    assert wrong(name, tmp_path) == {f"test_{test}" for test in tests}


def test_the_contract_finds_frames_that_are_not_finite(tmp_path: Path) -> None:
    assert wrong("not-finite", tmp_path) >= {
        "test_maps_frames_to_every_horizon",
        "test_every_parameter_learns",
        "test_trains_to_a_finite_result",
    }


def test_a_variant_that_does_not_load_fails_the_whole_contract(tmp_path: Path) -> None:
    assert wrong("missing", tmp_path) == {test for test in dir(VariantContract) if test.startswith("test_")}


def test_a_contract_without_a_variant_says_what_to_write() -> None:
    class Nameless(VariantContract):
        __test__ = False

    with pytest.raises(pytest.fail.Exception, match="write variant = 'name'"):
        Nameless().test_survives_json_with_the_same_identity()
