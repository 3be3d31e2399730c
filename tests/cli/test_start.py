"""`harness` alone says what the store holds and what to type next."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command

from harness.store import Folder, Store
from harness.version import __version__


def test_an_empty_store_gets_the_first_commands(harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "new"))
    answer = harness()
    assert answer.code == 0
    assert answer.out.startswith(f"nothing in {tmp_path / 'new'} yet\n  harness run --variant attention")
    assert not (tmp_path / "new").exists()


def test_runs_are_counted_and_an_unfinished_plan_comes_first(
    harness: Command, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_STORE", str(store))
    plans = Folder(Store(store).part("plans"))
    for name, status in (("a.json", "finished"), ("b.json", "stopped")):
        plans.write(name, {"command": f"harness ablate --plan {name}", "cells": [{"status": status}]})
    (plans.path / "c.json").write_text("{")
    lines = harness().out.splitlines()
    assert lines[0] == f"{store}: 2 finished"
    assert lines[1] == "  harness ablate --plan b.json    # resumes this plan"
    assert lines[2].split() == ["harness", "report"]
    assert lines[-1] == "harness --help names every command"


def test_the_version(harness: Command) -> None:
    assert harness("--version").out == f"{__version__}\n"
