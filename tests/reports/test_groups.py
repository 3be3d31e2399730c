"""Which runs may stand in one table, and why others may not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_store import Fake, cell, write_run
from filled_stores import column, fill, first_group, ids, make, rewrite, table

from harness.evaluation.conventions import CONVENTIONS
from harness.version import REVISIONS
from reports.analysis import groups

pytestmark = pytest.mark.usefixtures("plots_not_drawn")


def test_two_test_sets_do_not_share_a_table(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 1, 2, 3))
    fill(tmp_path, seeds=(4, 5, 6), fake=Fake(test_digest="cd34" * 16))
    page = make(tmp_path)
    assert any("two test sets: ab12ab12.. and cd34cd34.." in text for text in page.warnings)
    assert column(table(page, "ablation"), "seeds")["base"] == "4"
    assert column(table(page, "ablation-2"), "seeds")["base"] == "3"
    assert any("test set cd34cd34.." in section.title for section in page.sections)


def test_conventions_numerics_digits_and_precision_separate(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 1, 2, 3))
    for seed, change in enumerate(
        (
            {"conventions": CONVENTIONS | {"ssim": "another window"}},
            {"digits": {"source": "idx", "digest": "other"}},
        ),
        start=10,
    ):
        fill(tmp_path, seeds=(seed,), fake=Fake(overrides=change))
    for run_id in fill(tmp_path, seeds=(20,)):
        rewrite(tmp_path, run_id, "experiment.json", revisions={"training": 99, "prediction": 1})
    fill(tmp_path, seeds=(30,), training__precision="bfloat16")
    page = make(tmp_path)
    assert {f"ablation-{number}" for number in (2, 3, 4, 5)} <= ids(page)
    named = " ".join(page.warnings)
    for words in (
        "metric convention of ssim",
        "two sets of digits",
        f"two training revisions: {REVISIONS['training']} and 99",
        "training.precision",
    ):
        assert words in named
    assert column(table(page, "ablation"), "seeds") | {} == {
        "base": "4", "attention": "4", "blank frame": "-", "repeat last frame": "-",
    }  # fmt: skip


def test_a_variant_in_two_definitions_has_two_rows(tmp_path: Path) -> None:
    fill(tmp_path, names=("base", "tta"))
    fill(tmp_path, names=("tta",), inference__views="identity,hflip")
    page = make(tmp_path)
    names = [name for name in column(table(page, "ablation"), "verdict") if name.startswith("tta")]
    assert len(names) == 2
    assert any("rot180" in name for name in names)
    assert any("2 definitions" in text for text in page.warnings)


def test_base_with_other_settings_is_no_reference(tmp_path: Path) -> None:
    fill(tmp_path, names=("base", "attention"))
    fill(tmp_path, names=("base", "tta"), seeds=(0, 1), training__steps=77)
    page = make(tmp_path)
    assert set(column(table(page, "ablation"), "verdict")) == {"base", "attention", "blank frame", "repeat last frame"}
    assert set(column(table(page, "ablation-2"), "verdict")) == {"base", "tta", "blank frame", "repeat last frame"}


def test_a_setting_is_covered_by_the_component_that_holds_it() -> None:
    changes = {"architecture.bottleneck"}
    assert groups.covered("architecture.bottleneck.heads", changes)
    assert groups.covered("architecture.bottleneck", changes)
    assert not groups.covered("architecture.bottleneck_size", changes)
    assert not groups.covered("architecture", changes)


def test_contexts_differ_by_what_they_lack_too_but_not_by_what_is_ignored() -> None:
    a, b = {"x": "1", "data.speed": "2", "data.digits.size": "3"}, {"x": "1", "data.speed": "4"}
    assert groups.differences(a, b) == ["data.digits.size", "data.speed"]
    assert groups.differences(a, b, ignore=["data.digits"]) == ["data.speed"]
    assert groups.difference_words("data.digits.size", a, b) == "data.digits.size: 3 and not recorded"
    assert groups.difference_words("test set", {"test set": "ab" * 32}, {"test set": "cd" * 32}) == (
        "two test sets: abababab.. and cdcdcdcd.."
    )


def test_of_two_runs_of_one_seed_the_first_is_used_and_both_are_named(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,))
    group = first_group(tmp_path)
    twin = replace(group.runs[0], run_id="f" * 16)
    notes: list[str] = []
    made = groups.make_group("steps", group.context, [*group.runs, twin], 0.005, notes)
    assert made.runs == group.runs
    assert len(notes) == 1
    assert f"two runs for seed 0 with equal settings ({group.runs[0].run_id} and {twin.run_id})" in notes[0]


def test_the_time_ratio_is_a_geometric_mean_over_common_seeds(tmp_path: Path) -> None:
    seconds = {"base": (100.0, 200.0, 300.0), "attention": (200.0, 100.0)}
    for name, values in seconds.items():
        for seed, value in enumerate(values):
            write_run(tmp_path, cell(name, seed), Fake(seconds=value))
    group = first_group(tmp_path)
    (attention,) = group.others
    assert attention.time_ratio(group.reference) == pytest.approx(1.0)  # twice and half
    assert attention.time_ratio(None) is None
