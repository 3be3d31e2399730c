"""The program as a whole: help, what it imports, pipes, threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Command

ROOT = Path(__file__).resolve().parents[2]


def test_saying_half_a_command_prints_its_help(harness: Command) -> None:
    answer = harness("data")  # `harness` alone says what to do next: test_start.py
    assert answer.code == 2
    assert "fetch" in answer.err + answer.out
    assert "Traceback" not in answer.err
    assert harness("--help").code == harness("run", "-h").code == 0


def test_help_lists_and_cached_answers_do_not_import_torch(tiny_store: Path) -> None:
    code = """
import sys
from harness.cli.app import main
lists = [["list", what] for what in ("variants", "components", "runs", "settings")]
for words in (["--help"], *lists, ["run", "--preset", "tiny", "--json"]):
    try:
        main(words)
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
    heavy = sorted({"torch", "pandas", "scipy", "matplotlib", "optuna", "sklearn"} & set(sys.modules))
    if words == ["--help"]:  # nor what draws boxes, or asks every installed package for plugins
        heavy += sorted({"rich", "importlib.metadata", "harness.registry"} & set(sys.modules))
    assert not heavy, (words, heavy)
"""
    environment = os.environ | {"HARNESS_STORE": str(tiny_store)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("\n{\n") :])["cached"]


def test_the_house_keeps_one_direction() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_a_pipe_that_closes_or_a_terminal_that_fails_is_no_traceback(tiny_store: Path) -> None:
    command = [sys.executable, "-m", "harness.cli.app", "list", "settings"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert "error: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    piped = subprocess.run(
        ["sh", "-c", '"$0" -m harness.cli.app list settings | head -1', sys.executable], capture_output=True, text=True
    )
    assert piped.stdout.startswith("path")
    assert "Traceback" not in piped.stderr


def test_threads_hardly_spin_while_they_wait_unless_the_user_says_how(
    harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    assert harness("--help").code == 0
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("passive", "1000")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert harness("--help").code == 0
    assert (os.environ["OMP_WAIT_POLICY"], os.environ.get("GOMP_SPINCOUNT")) == ("active", None)
