"""The gate's steps of docs/ci run as they stand: on a small repository, with stand-ins for pip and for what talks to the forge."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import HOUSE

FOLDER = HOUSE / "docs" / "ci"
GITHUB = yaml.safe_load((FOLDER / "github.yml").read_text())
GITLAB = yaml.safe_load((FOLDER / "gitlab.yml").read_text())["ablation"]
QUICK = "--workers 1"


@pytest.fixture
def forge(tmp_path: Path) -> dict[str, str]:
    """A repository of two commits, and an environment in which gh and curl write what they are told into a file."""
    repository, tools = tmp_path / "repository", tmp_path / "tools"
    tools.mkdir()
    repository.mkdir()
    for name in ("gh", "curl"):
        (tools / name).write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" >> {tmp_path}/said\ncat verdict.md >> {tmp_path}/said\n'
        )
    (tools / "pip").write_text(f'#!/bin/sh\necho pip "$@" >> {tmp_path}/said\ngit rev-parse HEAD > {tmp_path}/installed\n')
    (tools / "harness").write_text(
        f'#!/bin/sh\necho harness "$1" with "$(cat {tmp_path}/installed)" >> {tmp_path}/said\n'
        f'exec {sys.executable} -m harness "$@"\n'
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)

    def git(*words: str) -> str:
        author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        return subprocess.run(
            ["git", *author, *words], cwd=repository, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet")
    commits = []
    for number in ("1", "2"):
        (repository / "file").write_text(number)
        git("add", "file")
        git("commit", "--quiet", "--message", number)
        commits.append(git("rev-parse", "HEAD"))
    return {key: value for key, value in os.environ.items() if not key.startswith(("HARNESS_", "GIT_", "CI"))} | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "BASE": commits[0],
        "HEAD": commits[1],
        "HERE": str(tmp_path),
    }


def bash(script: str, environment: dict[str, str]) -> int:
    folder = Path(environment["HERE"]) / "repository"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)  # pytest shows it when the test fails
    return done.returncode


def assert_each_side_trained_what_is_there(said: str, environment: dict[str, str]) -> None:
    assert [line for line in said.splitlines() if line.startswith(("pip", "harness ablate"))] == [
        "pip install -c constraints.txt .",
        f"harness ablate with {environment['BASE']}",
        "pip install -c constraints.txt .",
        f"harness ablate with {environment['HEAD']}",
    ]


def quick(text: str) -> str:
    """The plan with one worker and two seeds."""
    return text.replace("--seeds 3", f"--seeds 2 {QUICK}")


@pytest.mark.slow
def test_the_steps_for_github(forge: dict[str, str]) -> None:
    here = Path(forge["HERE"])
    output = here / "output"
    event = {"base.sha": forge["BASE"], "head.sha": forge["HEAD"], "number": "7"}

    def filled(value: str) -> str:
        value = re.sub(r"\$\{\{ github\.event\.pull_request\.([\w.]+) \}\}", lambda found: event[found[1]], value)
        value = value.replace("${{ github.token }}", "secret")
        code = dict(line.split("=") for line in output.read_text().splitlines()) if output.exists() else {}
        return value.replace("${{ steps.compare.outputs.code }}", code.get("code", "?"))

    environment: dict[str, Any] = forge | {
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(here / "summary"),
        "PLAN": quick(GITHUB["env"]["PLAN"]),
    }
    steps = [one for one in GITHUB["jobs"]["compare"]["steps"] if "run" in one]
    assert [one["name"] for one in steps] == [
        "Train at the base",
        "Train at the pull request",
        "Compare",
        "Comment",
        "Gate",
    ]
    for step in steps:
        own = {name: filled(value) for name, value in step.get("env", {}).items()}
        assert "{{" not in "".join([*own.values(), step["run"]])
        assert bash(step["run"], environment | own) == 0, step["name"]
    said = (here / "said").read_text()
    assert_each_side_trained_what_is_there(said, forge)
    assert (here / "summary").read_text() == (here / "repository/verdict.md").read_text()
    assert "pr\ncomment\n7\n--body-file\nverdict.md" in said
    assert "### Ablation\n```\n" in said
    assert "identical in all 2 common seeds" in said
    gate = steps[-1]["run"]
    assert [bash(gate, environment | {"CODE": str(code)}) == 0 for code in range(4)] == [True, False, False, True]


@pytest.mark.slow
def test_the_script_for_gitlab(forge: dict[str, str]) -> None:
    environment = forge | {
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": forge["BASE"],
        "CI_COMMIT_SHA": forge["HEAD"],
        "CI_API_V4_URL": "https://example.org/api/v4",
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "7",
        "COMMENT_TOKEN": "secret",
        "PLAN": quick(GITLAB["variables"]["PLAN"]),
    }
    assert bash("\n".join(GITLAB["script"]), environment) == 0
    said = (Path(forge["HERE"]) / "said").read_text()
    assert_each_side_trained_what_is_there(said, forge)
    assert "https://example.org/api/v4/projects/3/merge_requests/7/notes" in said
    assert "body@verdict.md" in said
    assert "identical in all 2 common seeds" in said
    gate = GITLAB["script"][-1]
    assert [bash(f"code={code}\n{gate}", environment) == 0 for code in range(4)] == [True, False, False, True]
