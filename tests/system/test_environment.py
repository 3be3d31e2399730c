"""A run records the code that made it, and nothing of whose machine it was."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
from pathlib import Path

import pytest

from harness.system import environment

ROOT = Path(__file__).resolve().parents[2]


def test_the_commit_of_the_checkout_is_recorded() -> None:
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("the tests do not run from a checkout")
    state = environment.git_state()
    assert state is not None
    assert state["commit"] == done.stdout.strip()
    assert isinstance(state["changed"], bool)


def test_another_project_s_repository_around_an_installed_copy_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (installed := tmp_path / "site-packages" / "harness" / "system").mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(installed / "environment.py"))
    assert environment.git_state() is None


def test_no_name_and_no_path_is_recorded() -> None:
    text = json.dumps(environment.environment("cpu"))
    for name in (str(ROOT), str(Path.home()) + "/", socket.gethostname(), f'"{getpass.getuser()}"'):
        assert name not in text
