"""A report as a plugin: which options it takes, and what is asked of the one that compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness import reports
from harness.errors import RequestError
from harness.registry import Plugins
from harness.reports import Report


def build(store: object, variants: object, out: Path, *, margin: float | None = None) -> list[Path]:
    return []


def install(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> Report:
    """Stands for the report 'ablation' that is installed."""
    report = Report(name="ablation", summary="mine", build=build, **parts)
    monkeypatch.setattr(Plugins, "get", lambda self, name: {"ablation": report}[name])
    return report


def test_an_option_that_a_report_does_not_take_is_named_and_none_is_not_given() -> None:
    report = Report(name="mine", summary="mine", build=build)
    assert report.options(build, margin=0.01, pdf=None) == {"margin": 0.01}
    with pytest.raises(RequestError, match="report 'mine' takes no --pdf; leave it out"):
        report.options(build, margin=0.01, pdf=True)


def test_the_built_in_report_is_found_by_its_name() -> None:
    report = Plugins("harness.reports", Report).get("ablation")
    assert isinstance(report, Report)
    assert None not in (report.compare, report.judge, report.comparisons, report.site, report.answer)


def test_comparisons_are_made_within_one_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Path, dict[str, Any]]] = []

    def comparisons(root: Path, runs: dict[str, Any]) -> pd.DataFrame:
        asked.append((root, runs))
        return pd.DataFrame({"arm": ["attention"]})

    install(monkeypatch, comparisons=comparisons)
    one, two = tmp_path / "a" / "runs" / "x", tmp_path / "b" / "runs" / "y"
    assert list(reports.comparisons({one: "read", one.parent / "z": None})["arm"]) == ["attention"]
    assert asked == [(tmp_path / "a", {"x": "read", "z": None})]
    assert reports.comparisons({one: None, two: None}).empty
    assert reports.comparisons({}).empty
    assert len(asked) == 1


def test_a_report_without_comparisons_is_a_clear_request_and_one_without_answers_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch)
    with pytest.raises(RequestError, match="'ablation' that is installed gives no comparisons"):
        reports.comparisons({tmp_path / "runs" / "x": None})
    assert reports.answer(None, None, "p") is None


def test_an_answer_is_the_report_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    made = reports.Answer(document={}, headline="tta helps.", columns=(), rows=(), lines=())
    install(monkeypatch, answer=lambda store, variants, plan: made if plan == "p" else None)
    assert reports.answer("store", "variants", "p") is made
    assert reports.answer("store", "variants", "q") is None
