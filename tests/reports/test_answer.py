"""The first screen: gain against cost, the blank frame by every metric, metrics that disagree, plans that were not kept."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import fake_store
import numpy as np
import pytest
from fake_store import Fake, cell, write_run
from samples import sample, shifted
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from harness.store import Folder, Store
from harness.variant import Variants
from reports.analysis.comparisons import compare
from reports.analysis.overview import analyse
from reports.analysis.reading import read_store
from reports.analysis.secondary import above_blank
from reports.page import Page
from reports.pages.answer import effect, headline, printed, remaining
from reports.pages.html import to_html
from reports.pages.sections import make_page
from reports.pages.summary import summary

pytestmark = pytest.mark.usefixtures("plots_not_drawn")
SEEDS = range(5)
NOISE = np.random.default_rng(0).standard_normal((6, 5))
LEVEL = {"base": 0.80, "attention": 0.81, "tta": 0.82, "attention+tta": 0.83, "curriculum": 0.80}


def ssim(name: str, seed: int) -> float:
    return float(LEVEL[name] + 0.002 * NOISE[list(LEVEL).index(name), seed])


def fill(root: Path, names: tuple[str, ...], **more: Any) -> dict[tuple[str, int], str]:
    with fake_store.without_sync():
        return {
            (name, seed): write_run(root, cell(name, seed), Fake(ssim=ssim(name, seed), **more))
            for name in names
            for seed in SEEDS
        }


def write_plan(root: Path, ids: dict[tuple[str, int], str], contrasts: list[tuple[str, str, str]], **question: Any) -> None:
    cells = [
        {"label": name, "variant": name, "seed": seed, "run_id": run_id, "status": "finished", "error": None}
        for (name, seed), run_id in ids.items()
    ]
    asked = {
        "contrasts": [{"name": name, "treated": treated, "reference": other} for name, treated, other in contrasts],
        "metric": "ssim", "higher_is_better": True, "margin": 0.005, "margin_from": "given", "digest": "d1", "budget": "steps",
        "held_equal": ["data"], "differs": {},
    }  # fmt: skip
    texts = {"plan": "leave-one-out", "match": "steps", "preset": "tiny", "reference": "base", "command": "", "cells": cells}
    Folder(root / "plans").write("p.json", texts | {"question": asked | question, "known_before": 0, "departures": []})


def page_of(root: Path) -> Page:
    store = Store(root)
    return make_page(store, read_store(store), Variants(third_party=False))


LEAVE_ONE_OUT = [
    ("attention+tta", "attention+tta", "base"),
    ("attention with the others", "attention+tta", "tta"),
    ("tta with the others", "attention+tta", "attention"),
]


def test_leave_one_out_shows_its_own_contrasts(tmp_path: Path) -> None:
    ids = fill(tmp_path, ("base", "attention", "tta", "attention+tta"))
    write_plan(tmp_path, ids, LEAVE_ONE_OUT, differs={"attention+tta": ["training.batch_size 8 (base: 16)"]})
    page = page_of(tmp_path)
    assert page.answer is not None
    values = {name: np.array([ssim(name, seed) for seed in SEEDS]) for name in LEVEL}
    p = [stats.ttest_rel(values[treated], values[other]).pvalue for _, treated, other in LEAVE_ONE_OUT]
    adjusted = multipletests(p, method="holm")[1]
    _, *effects = page.answer.effects
    assert [one.name for one in effects[1:]] == [name for name, _, _ in LEAVE_ONE_OUT[1:]]
    for one, (_, treated, other), value in zip(effects, LEAVE_ONE_OUT, adjusted, strict=True):
        assert one.gain == pytest.approx(np.mean(values[treated] - values[other]))
        if one.verdict == "helps":
            assert one.sure.startswith("p <0.001" if value < 0.001 else f"p {value:.3f}")
    (shown,) = (one for one in page.tables if one.id == "contrasts")
    assert [row[0].text for row in shown.rows] == [f"{name}: {treated} - {other}" for name, treated, other in LEAVE_ONE_OUT]
    (rows,) = (one for one in page.data if one.id == "comparisons")
    wanted = {(name, other) for name, _, other in LEAVE_ONE_OUT}
    assert wanted <= {(row[1], row[2]) for row in rows.rows}
    assert "differs: training.batch_size 8 (base: 16)" in effects[0].cost
    assert "held equal: data; 3 comparisons" in page.answer.setting
    assert page.answer.controls[-1].words == "as plan d1 asked beforehand"
    assert effects[0].name == "all together"
    (group, *_) = analyse(read_store(Store(tmp_path))).groups
    at_equal_seconds = dataclasses.replace(group, match="seconds")
    assert summary(group, [at_equal_seconds])[-1].startswith("At equal seconds: ")
    _, *sentences = page.summary
    assert [text.partition(":")[0] for text in sentences] == [name for name, _, _ in LEAVE_ONE_OUT]
    for text, (_, _, other), one in zip(sentences, LEAVE_ONE_OUT, effects, strict=True):
        assert f" over {other}, " in text
        assert f"{one.gain:+.4f} SSIM" in text
        assert one.verdict in text


def test_what_departs_from_the_plan_is_on_the_first_screen(tmp_path: Path) -> None:
    ids = fill(tmp_path, ("base", "attention", "tta"))
    planned = {key: run for key, run in ids.items() if key[0] != "tta"}
    write_plan(tmp_path, planned, [("attention", "attention", "base")])
    answer = page_of(tmp_path).answer
    assert answer is not None
    sure = {one.name: one.sure for one in answer.effects}
    assert (sure["tta"].endswith("; exploratory"), sure["attention"].endswith("; exploratory")) == (True, False)
    assert answer.headline == "attention helps."
    assert "1 comparison, paired by seed" in answer.setting
    assert (answer.controls[-1].passed, answer.controls[-1].words) == (
        None, "exploratory: not in the plan's family: tta (plan d1)",
    )  # fmt: skip


def test_an_arm_without_any_run_is_on_the_first_screen(tmp_path: Path) -> None:
    ids = fill(tmp_path, ("base", "attention"))
    write_plan(tmp_path, ids, [("attention", "attention", "base"), ("curriculum", "curriculum", "base")])
    record = Folder(tmp_path / "plans").read("p.json")
    lost = [dict(record["cells"][0], label="curriculum", variant="curriculum", run_id=None, status="failed", error="boom")]
    kept = {name: value for name, value in record.items() if name not in ("format", "sha256")}
    Folder(tmp_path / "plans").write("p.json", kept | {"cells": [*record["cells"], *lost]})
    answer = page_of(tmp_path).answer
    assert answer is not None
    assert {one.name: one.verdict for one in answer.effects}["curriculum"] == "failed"
    assert "curriculum failed in a seed" in answer.headline


def test_the_pareto_front_is_named_by_cost(tmp_path: Path) -> None:
    fill(tmp_path, ("base", "attention", "tta", "curriculum"))
    answer = page_of(tmp_path).answer
    assert answer is not None
    (group, *_) = analyse(read_store(Store(tmp_path))).groups
    (text,) = answer.tradeoff
    for attribute, cost in (("seconds", "training time"), ("params", "parameters"), ("flops", "inference")):
        points = {
            one.label: (np.mean([getattr(run, attribute) for run in one.runs.values()]), one.estimate().mean)
            for one in group.methods
        }
        front = {
            name for name, (spent, gain) in points.items()
            if not any((a <= spent and b >= gain) and (a < spent or b > gain) for a, b in points.values())
        }  # fmt: skip
        (part,) = (one for one in re.split("; |front\\) ", text.rstrip(".")) if cost in one.partition(":")[0])
        assert set(part.partition(": ")[2].split(", ")) == front


def rewrite(root: Path, ids: dict[tuple[str, int], str], name: str, change: Any) -> None:
    for (arm, seed), run_id in ids.items():
        if arm == name:
            folder = Folder(root / "runs" / run_id)
            result = folder.read("result.json")
            change(result, seed)
            folder.write("result.json", {key: value for key, value in result.items() if key not in ("format", "sha256")})


def test_the_last_frame_at_which_every_metric_beats_the_blank_frame(tmp_path: Path) -> None:
    ids = fill(tmp_path, ("base", "attention"))

    def worse(result: dict[str, Any], seed: int) -> None:
        blank = result["baselines_per_frame"]["blank"]["mae"]
        frames = result["metrics_per_frame"]["mae"]
        result["metrics_per_frame"]["mae"] = [
            b + (1 if k >= 4 else -1) * (1 + seed) for k, b in enumerate(blank[: len(frames)])
        ]

    rewrite(tmp_path, ids, "attention", worse)
    (group, *_) = analyse(read_store(Store(tmp_path))).groups
    base = {one.label: one for one in group.methods}["base"]
    better = []
    for name, blank in base.first.baselines_per_frame["blank"].items():
        mean = np.mean([run.per_frame[name] for run in base.runs.values()], axis=0)
        better.append(np.array(mean) < blank if name in ("mse", "mae") else np.array(mean) > blank)
    frames = int(np.cumprod(np.all(better, axis=0)).sum())
    assert {one.name: one.every for one in above_blank(group)} == {"base": frames, "attention": 4}
    answer = page_of(tmp_path).answer
    assert answer is not None
    (line,) = (one for one in answer.controls if one.words.startswith("frames in which"))
    assert line.passed is None
    assert line.words.endswith(f": the first 4 of 10 (attention); the first {frames} (base)")


def test_a_verdict_that_flips_between_metrics_says_so(tmp_path: Path) -> None:
    ids = fill(tmp_path, ("base", "attention"))

    def mse(sign: int) -> Any:
        def change(result: dict[str, Any], seed: int) -> None:
            result["metrics"]["mse"] = 50 + sign * 10 + NOISE[sign, seed]

        return change

    rewrite(tmp_path, ids, "base", mse(0))
    rewrite(tmp_path, ids, "attention", mse(1))
    page = page_of(tmp_path)
    assert page.answer is not None
    (line,) = (one for one in page.answer.controls if one.words.startswith("attention: helps by SSIM"))
    assert line.passed is False
    assert "hurts by MSE" in line.words
    (shown,) = (one for one in page.tables if one.id == "by-metric")
    (row,) = shown.rows
    texts = dict(zip(shown.columns, (value.text for value in row), strict=True))
    assert texts["SSIM decides"].startswith("helps +0.0")
    differences = 10 + NOISE[1] - NOISE[0]
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)  # one comparison: Holm's level is 5%
    assert texts["MSE"] == f"hurts +{np.mean(differences):.2f} [+{low:.2f}, +{high:.2f}]"


def test_a_metric_s_name_leads_to_its_convention_with_the_blank_frame_s_score(tmp_path: Path) -> None:
    fill(tmp_path, ("base", "attention"))
    page = page_of(tmp_path)
    text = to_html(page)
    links = re.findall(r'<a class="term" href="#([^"]+)" aria-label="What ([^"]+) means here">', text)
    assert {("convention-ssim", "SSIM"), ("convention-mse", "MSE"), ("convention-ssim_openstl", "SSIM (OpenSTL)")} <= set(
        links
    )
    for id_, name in set(links):
        (row,) = re.findall(rf'<tr id="{id_}">(.*?)</tr>', text, re.DOTALL)
        assert re.match(r"\s*<th[^>]*>" + re.escape(name) + "<", row.replace("<wbr>", ""))
    (shown,) = (one for one in page.tables if one.id == "conventions")
    (ssim_row,) = (row for row in shown.rows if row[0].text == "SSIM")
    (group, *_) = analyse(read_store(Store(tmp_path))).groups
    assert ssim_row[shown.columns.index("blank frame")].text == f"{group.baseline('blank')['ssim']:.4f}"


def test_controls_that_passed_share_a_line_and_one_that_failed_has_its_own(tmp_path: Path) -> None:
    ids = fill(tmp_path, tuple(LEVEL))
    controls = {"curriculum": "equivalent", "tta": "helps", "attention": "hurts"}
    write_plan(tmp_path, ids, [("attention+tta", "attention+tta", "base")], controls=controls)
    answer = page_of(tmp_path).answer
    assert answer is not None
    gain = {name: np.mean([ssim(name, seed) - ssim("base", seed) for seed in SEEDS]) for name in controls}
    passed, failed = answer.controls[:2]
    kind = "(undecided|equivalent)"  # neither is called
    words = (
        rf"as they must: curriculum {kind} \({gain['curriculum']:+.4f}\), so not called; tta helps \({gain['tta']:+.4f}\)"
    )
    said = re.fullmatch(
        words.replace("(+", "(\\+") + rf"; {len(SEEDS)} seeds detect a gain of ([\d.]+) with 80% power", passed.words
    )
    assert said is not None
    sd = np.std([ssim("attention+tta", seed) - ssim("base", seed) for seed in SEEDS], ddof=1)  # of the one that is judged
    assert TTestPower().power(float(said[2]) / sd, len(SEEDS), 0.05) == pytest.approx(0.8, abs=0.02)  # said to two digits
    assert (passed.passed, failed.passed) == (True, False)
    assert failed.words == f"attention helps ({gain['attention']:+.4f}), must hurt"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("helps", "The regime passed its controls."),
        ("hurts", "The regime failed its controls, so its verdicts mean little."),
    ],
)
def test_base_with_controls_alone_is_an_answer_about_the_regime(tmp_path: Path, wanted: str, words: str) -> None:
    ids = fill(tmp_path, ("base", "curriculum", "tta"))
    write_plan(tmp_path, ids, [], controls={"curriculum": "equivalent", "tta": wanted})
    answer = page_of(tmp_path).answer
    assert answer is not None
    assert answer.headline == words
    assert "2 controls, paired by seed" in answer.setting
    assert [one.name for one in answer.effects] == ["base"]
    assert answer.remaining == ()


def test_base_without_arms_and_controls_has_no_comparison(tmp_path: Path) -> None:
    fill(tmp_path, ("base",))
    answer = page_of(tmp_path).answer
    assert answer is not None
    assert answer.headline == "Nothing can be compared."
    assert "; 0 comparisons, paired by seed" in answer.setting


def test_a_control_with_seeds_to_come_is_a_note(tmp_path: Path) -> None:
    ids = fill(tmp_path, ("base", "tta"))
    write_plan(tmp_path, ids | {("tta", 99): "0" * 16}, [], controls={"tta": "hurts"})
    answer = page_of(tmp_path).answer
    assert answer is not None
    gain = np.mean([ssim("tta", seed) - ssim("base", seed) for seed in SEEDS])
    first = answer.controls[0]
    assert (first.passed, first.words) == (None, f"tta {len(SEEDS)} of {len(SEEDS) + 1} seeds run ({gain:+.4f}), must hurt")
    assert answer.headline.startswith("The controls are not all run")


def test_many_verdicts_that_depend_on_the_metric_share_a_line(tmp_path: Path) -> None:
    ids = fill(tmp_path, tuple(LEVEL))

    def mse(level: float, row: int) -> Any:
        def change(result: dict[str, Any], seed: int) -> None:
            result["metrics"]["mse"] = level + NOISE[row, seed]

        return change

    for row, name in enumerate(LEVEL):  # all but curriculum, which does nothing in SSIM, turn
        rewrite(tmp_path, ids, name, mse(60 if name in ("attention", "tta", "attention+tta") else 50, row))
    answer = page_of(tmp_path).answer
    assert answer is not None
    (line,) = (one for one in answer.controls if "depend on the metric" in one.words)
    assert line.passed is False
    assert line.words.startswith("3 of 4 verdicts depend on the metric: attention, tta and attention+tta (see ")
    assert "opposite claims: attention, tta and attention+tta" in line.words


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        ({}, "Nothing can be compared."),
        ({"a": "helps"}, "a helps."),
        ({"a": "helps", "b": "helps", "c": "equivalent"}, "a and b help; c makes no difference beyond 0.005."),
        ({"a": "undecided", "b": "undecided"}, "2 of 2 arms are undecided."),
        ({"a": "failed", "b": "undecided"}, "a failed in a seed; 1 of 2 arms is undecided."),
        (dict.fromkeys("abcde", "hurts"), "5 of 5 arms hurt."),
    ],
)
def test_a_headline_names_few_arms_and_counts_many(verdicts: dict[str, str], text: str) -> None:
    assert headline(verdicts, 0.005) == text


def test_what_a_terminal_prints_is_the_first_screen(tmp_path: Path) -> None:
    fill(tmp_path, ("base", "attention", "curriculum"))
    answer = page_of(tmp_path).answer
    assert answer is not None
    shown = printed(answer)
    assert shown.headline == answer.headline
    assert [row[:3] for row in shown.rows] == [(one.name, one.text, one.verdict) for one in answer.effects]
    assert shown.lines[0] == answer.setting
    marks = {True: "passed", False: "FAILED", None: "note"}
    for one in answer.controls:
        assert f"{marks[one.passed]}: {one.words}" in shown.lines
    assert shown.document["effects"][1]["name"] == answer.effects[1].name


BASE = sample(5)
OPEN = compare(BASE, shifted(BASE, 0.0, 0.02), name="open")
FAILED = compare(BASE, {**shifted(BASE, 0.0, 0.02), 3: None}, name="lost")
FLAT = compare(BASE, {seed: value + 0.5 for seed, value in BASE.items()}, name="flat")


def test_a_row_says_how_sure_it_is() -> None:
    gain = shifted(BASE, 0.03, 0.004)
    helps = compare(BASE, gain, name="arm")
    p = stats.ttest_rel(list(gain.values()), list(BASE.values())).pvalue
    shown = effect(helps, "arm", 4, "1.20x training time")
    assert shown.sure == f"p {f'{p:.3f}' if p >= 0.001 else '<0.001'}, 5 seeds"
    assert (shown.gain, shown.low, shown.high) == (helps.mean, helps.low, helps.high)
    assert effect(OPEN, "open", 4, "").sure == f"5 of about {OPEN.verdict.seeds_needed} seeds"
    lost = effect(FAILED, "lost", 4, "")
    assert (lost.sure, lost.text, lost.gain, lost.low) == ("seed 3 failed", "", None, None)


def test_what_would_decide_the_rest_is_said_of_open_and_failed_arms() -> None:
    assert FLAT.verdict.seeds_needed is None
    first, second, third = remaining({"open": OPEN, "flat": FLAT, "lost": FAILED})
    assert first == f"Seeds in all that would decide the rest, about: open {OPEN.verdict.seeds_needed}."
    assert second == "No number of seeds can be named for flat."
    assert third == "A verdict on lost needs the failed seeds explained or repeated."
    assert remaining({"same": compare(BASE, BASE)}) == ["Nothing is left to decide at this margin."]


def test_arms_that_are_open_come_with_the_command_that_decides_them(tmp_path: Path) -> None:
    with fake_store.without_sync():
        for name, values in (("base", BASE), ("attention", shifted(BASE, 0.0, 0.02)), ("tta", shifted(BASE, 0.05, 0.002))):
            for seed, value in values.items():
                write_run(tmp_path, cell(name, seed), Fake(ssim=value))
    answer = page_of(tmp_path).answer
    assert answer is not None
    assert {one.name: one.verdict for one in answer.effects[1:]} == {"attention": "undecided", "tta": "helps"}
    (count,) = re.findall(r"attention (\d+)", answer.remaining[0])
    (command,) = answer.commands
    assert command == f"harness ablate --plan base,attention --preset cpu --seeds {count} --set training.precision=float32"
