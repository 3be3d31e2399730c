"""The report in words: a sentence for each arm, facts, and warnings about what is missing or weak."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_store
import pytest
from fake_store import Fake, cell, write_run
from filled_stores import VARIANTS, fill, first_group, make, table
from scipy import stats

from harness.store import Store
from reports.analysis.overview import analyse
from reports.analysis.reading import read_store
from reports.analysis.records import Trouble
from reports.pages.summary import facts, sentence, summary, warnings

pytestmark = pytest.mark.usefixtures("plots_not_drawn")


def test_seeds_that_only_one_side_has_are_named(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",), seeds=(0, 1, 2, 3))
    fill(tmp_path, names=("attention",), seeds=(0, 1, 2))
    page = make(tmp_path)
    assert "3 common seeds" in next(text for text in page.summary if text.startswith("attention"))
    assert any("do not share seeds 3" in text for text in page.warnings)


def test_mixed_devices_are_named(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",))
    fill(tmp_path, names=("attention",), fake=Fake(device="GPU 9000"))
    page = make(tmp_path)
    assert any("mixes devices" in text and "GPU 9000" in text for text in page.warnings)
    assert "times are not comparable" in table(page, "ablation").note


def test_below_a_blank_frame_is_said(tmp_path: Path) -> None:
    fill(tmp_path, fake=Fake(ssim=0.3))
    assert any("no better than a blank frame" in text for text in make(tmp_path).warnings)


def test_facts_are_those_of_the_first_table(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 2))
    shown = facts(first_group(tmp_path))
    used = cell("base", 0).experiment
    assert shown["Budget"] == f"{used.training.steps} steps, batch {used.training.batch_size}"
    assert (shown["Seeds"], shown["Runs"], shown["Margin"]) == ("0, 2", "4 in the first table", "0.005 SSIM")
    assert shown["Device"] == fake_store.DEVICE


def test_of_many_arms_the_single_ideas_and_the_largest_composition_have_sentences(tmp_path: Path) -> None:
    names = ("attention", "curriculum", "residual", "tta")
    every = fake_store.compositions(names)
    fill(tmp_path, names=tuple(every), seeds=(0,))
    group = first_group(tmp_path)
    first, *sentences, rest = summary(group)
    assert first.startswith("base reaches SSIM")
    assert [one.partition(":")[0] for one in sentences] == [*names, "attention+curriculum+residual+tta"]
    assert rest == f"{len(every) - 1 - len(sentences)} further methods are in the table below."


def test_a_sentence_gives_gain_cost_seeds_and_verdict(tmp_path: Path) -> None:
    for seed, gain in enumerate((0.02, 0.021, 0.019)):
        write_run(tmp_path, cell("base", seed), Fake(ssim=0.8, seconds=100.0))
        write_run(tmp_path, cell("tta", seed), Fake(ssim=0.8 + gain, seconds=150.0))
    group = first_group(tmp_path)
    (tta,) = group.others
    low, high = stats.t.interval(0.95, 2, 0.02, stats.sem([0.02, 0.021, 0.019]))
    text = sentence(group, tta)
    assert text.startswith(f"tta: +0.0200 SSIM [{low:+.4f}, {high:+.4f}] over base, 1.50x training time, ")
    assert text.endswith("x inference, 3 seeds: helps by more than 0.005.")


def test_times_that_scatter_by_more_than_a_factor_of_two_give_way_to_exact_operations(tmp_path: Path) -> None:
    for seed, seconds in enumerate((60.0, 100.0, 170.0)):  # as beside other work: the interval is [0.27x, 3.7x]
        write_run(tmp_path, cell("base", seed), Fake(ssim=0.8, seconds=100.0))
        write_run(tmp_path, cell("tta", seed), Fake(ssim=0.82, seconds=seconds))
    group = first_group(tmp_path)
    (tta,) = group.others
    said = sentence(group, tta)
    assert "over base, 1.00x training operations, " in said
    assert "training time" not in said


def test_failed_records_are_counted_with_the_first_reasons(tmp_path: Path) -> None:
    fill(tmp_path)
    lost = tuple(Trouble(where=f"run-{k}", status="failed", reason="no memory") for k in range(4))
    found = read_store(Store(tmp_path))
    lines = warnings(analyse(found), replace(found, troubles=lost), (), VARIANTS)
    assert "4 failed records left out (run-0: no memory; run-1: no memory; run-2: no memory; ...)." in lines
