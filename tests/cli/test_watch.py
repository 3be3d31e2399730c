"""`harness watch`: a plan as a document, and as a file that is written until the plan is over."""

from __future__ import annotations

from pathlib import Path

from commands import Command
from listed_stores import write_plan_and_a_rate


def test_a_plan_that_is_over_is_one_document_and_one_page(tmp_path: Path, harness: Command) -> None:
    root = write_plan_and_a_rate(tmp_path / "store")
    document = harness("watch", "--store", root, "--json").document
    assert document["over"] is True
    answer = harness("watch", "--store", root, "--out", tmp_path / "page.html")
    assert answer.code == 0
    assert f"writing {tmp_path / 'page.html'} every" in answer.err
    assert "attention" in (tmp_path / "page.html").read_text()


def test_another_plan_is_refused_with_what_there_is(tmp_path: Path, harness: Command) -> None:
    root = write_plan_and_a_rate(tmp_path / "store")
    (plan,) = (root / "plans").glob("*.json")
    assert harness("watch", plan.stem[:4], "--store", root, "--json").code == 0
    answer = harness("watch", "zzz", "--store", root)
    assert answer.code == 2
    assert plan.stem in answer.error
