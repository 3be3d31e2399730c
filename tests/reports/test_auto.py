"""Plans with `--seeds auto` in the report: the verdicts are the rule's, decided again from the runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from plan_cells import auto_plan, ssim, stub_runner

from harness.ablation.auto import Decision, SeedRule, decide
from harness.ablation.sequential import level
from harness.store import Store
from harness.variant import Variants
from reports.analysis.overview import analyse
from reports.analysis.reading import read_document, read_store
from reports.analysis.verdicts import Kind
from reports.pages.sections import make_page

ARMS = ("attention", "curriculum", "residual", "tta")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("auto")
    stub_runner(root, auto_plan(ARMS)).run()
    return root


def expected() -> dict[str, Decision]:
    rule = SeedRule(most=13)
    values = {name: {seed: ssim(name, seed) for seed in range(13)} for name in ("base", *ARMS)}
    standing = decide(rule, range(13), values.pop("base"), values)
    return {one.arm: one for one in standing.decisions}


def test_verdicts_and_intervals_are_those_of_the_rule_and_not_of_a_fixed_number_of_seeds(root: Path) -> None:
    main = analyse(read_store(Store(root))).groups[0]
    kinds = {name: one.verdict.kind for name, one in main.comparisons.items()}
    assert kinds["attention"] is Kind.HELPS
    assert kinds["curriculum"] is Kind.HURTS
    for name, one in expected().items():
        found = main.comparisons[name]
        assert (found.n, found.low, found.high, found.p_adjusted) == (one.seeds, one.low, one.high, one.p)
        assert found.verdict.words == one.words
        assert len(found.differences) == one.seeds


def test_the_rule_judges_the_metric_of_its_plan(tmp_path: Path) -> None:
    """The stub's MSE is 400 (1 - SSIM), so by MSE, to be lowered, the same arms help and hurt at the same looks."""
    rule = SeedRule(most=13, margin=2.0, metric="mse", higher_is_better=False)
    runner = stub_runner(tmp_path, auto_plan(ARMS, rule=rule, metric="mse", margin=2.0))
    runner.run()
    main = analyse(read_store(Store(tmp_path))).groups[0]
    for name, one in expected().items():
        found = main.comparisons[name]
        assert (found.verdict.kind.value, found.n) == (one.verdict, one.seeds)
        assert found.mean == pytest.approx(-400 * one.difference)
        assert (found.low, found.high) == pytest.approx((-400 * one.high, -400 * one.low))
    helping = main.comparisons["attention"]
    assert (helping.better, helping.worse) == (helping.n, 0)  # seeds with a lower MSE are the better ones
    question = runner.question()
    assert question is not None
    assert (question.metric, question.higher_is_better, question.seed_rule["metric"]) == ("mse", False, "mse")


def test_a_rule_gives_no_verdict_by_another_metric(root: Path, tmp_path: Path) -> None:
    """A larger plan judges MSE over the same runs: a verdict and an interval by SSIM have no place in its table."""
    store = Store(shutil.copytree(root, tmp_path / "store"))
    stub_runner(store.root, replace(auto_plan(ARMS, metric="mse", margin=2.0), rule=None, seeds=tuple(range(14)))).run()
    main = analyse(read_store(store)).groups[0]
    assert (main.metric, main.decided) == ("mse", None)
    for name in ARMS:
        differences = [-400 * (ssim(name, seed) - ssim("base", seed)) for seed in range(14)]
        assert main.comparisons[name].mean == pytest.approx(sum(differences) / 14)


def test_the_page_names_the_rule_the_look_and_the_interval_after_stopping(root: Path) -> None:
    store = Store(root)
    page = make_page(store, read_store(store), Variants())
    section = next(one for one in page.sections if one.id == "statistics")
    (table,) = (one for some in page.sections for one in some.tables if one.id == "looks")
    rows = {row[0].text: [cell.text for cell in row] for row in table.rows}
    one = expected()["attention"]
    assert rows["attention"][1:4] == ["helps", str(one.seeds), f"{(4, 6, 9, 13).index(one.seeds) + 1} of 4"]
    assert f"{one.low:+.4f}" in rows["attention"][5]
    text = " ".join(section.paragraphs)
    assert "looked after 4, 6, 9, 13 seeds" in text
    assert f"{level(0.05, 4, (4, 6, 9, 13)):.2%}" in text
    assert any("attention" in line and one.words in line for line in page.summary)
    assert not any("do not share seeds" in line for line in page.warnings)


def test_verdicts_by_other_metrics_are_called_exploratory(root: Path) -> None:
    """Only the judged metric's error is kept over all looks."""
    store = Store(root)
    page = make_page(store, read_store(store), Variants())
    text = " ".join(next(one for one in page.sections if one.id == "statistics").paragraphs)
    assert "exploratory: the judged metric decided when arms stopped, and only its error is kept over all looks" in text
    (table,) = (one for one in page.tables if one.id == "by-metric")
    assert "All but the first are exploratory" in table.note
    judged = {row[0].text: row[1].text.partition(" ")[0] for row in table.rows}
    assert judged == {name: one.verdict for name, one in expected().items()}, "the first column is the rule's"
    assert page.answer is not None
    assert all("exploratory but for the judged one" in one.words for one in page.answer.controls if " by SSIM" in one.words)
    (data,) = (one for one in page.data if one.id == "comparisons")
    rows = [dict(zip(data.columns, row, strict=True)) for row in data.rows]
    assert {row["exploratory"] for row in rows if row["metric"] == "ssim"} == {False}
    assert {row["exploratory"] for row in rows if row["metric"] == "mse"} == {True}


def test_the_methods_of_a_paper_name_the_rule(root: Path) -> None:
    store = Store(root)
    paper = make_page(store, read_store(store), Variants()).paper
    assert paper is not None
    text, sources = paper.methods
    for words in (
        "over at most 13 seeds",
        "after looks at 4, 6, 9, 13 seeds",
        "Ye et al. 2013",
        "repeated confidence intervals",
    ):
        assert words in text
    for words in ("- Q. Liu and K. M. Anderson", "- Y. Ye, A. Li", "- C. Jennison and B. W. Turnbull", "- S. Holm"):
        assert words in sources
    assert "p Holm-adjusted over 4 comparisons and all looks" in paper.table.title


def test_the_figures_of_the_promise_are_those_of_the_committed_simulation() -> None:
    from reports.analysis.auto import method

    path = Path(__file__).parents[2] / "docs" / "results" / "2026-11-26-seeds" / "simulation.json"
    found = json.loads(path.read_text())
    promised = ("normal", "heavy tails", "unequal variances", "failed seeds")
    claims = ("no effect, tiny margin", "no effect, margin 1 sd", "two arms gain 2 sd, claims of the others")
    worst = max(found["errors"][kind][what]["rate"] for kind in promised for what in claims)
    right = min(one["all arms at once"] for kind in promised for one in found["coverage"][kind].values())
    collapse = found["errors"]["arms collapse"]["no effect, tiny margin"]["rate"]
    text = method(SeedRule())
    assert f"at most {worst:.1%} made a false claim" in text
    assert f"at least {right:.1%} of plans" in text
    assert f"{collapse:.0%} of plans claim" in text


def test_a_second_plan_that_goes_on_after_the_first_is_called_exploratory(root: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(root, tmp_path / "store")
    stub_runner(tmp_path / "store", auto_plan(ARMS, seeds=tuple(range(20)), rule=SeedRule(most=20))).run()
    result = analyse(read_store(Store(tmp_path / "store")))
    assert any("exploratory" in line for line in result.warnings)
    assert result.groups[0].comparisons["residual"].n == 13


def test_a_reports_data_keeps_the_rule(root: Path, tmp_path: Path) -> None:
    found = read_store(Store(root))
    (tmp_path / "data.json").write_text(json.dumps(found.document()))
    assert read_document(tmp_path / "data.json").plans == found.plans
    assert found.plans[0].seed_rule["looks"] == [4, 6, 9, 13]
