"""Versions: what is tested is pinned, the lower bounds are those that are tested, and a run works on what is installed."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from commands import Command
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOUSE = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
LOWEST = ".venv-lowest" in sys.prefix


def pins(name: str) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in (HOUSE / name).read_text().splitlines())
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if line}


def needed(requirements: list[str], extra: str = "") -> set[str]:
    """The names of everything that these bring, and what that brings."""
    found: set[str] = set()
    todo = [(Requirement(text), extra) for text in requirements]
    while todo:
        one, extra = todo.pop()
        if one.marker is not None and not one.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(one.name)
        own = metadata.requires(one.name) or []
        for inner in {"", *one.extras} if name not in found or one.extras else ():
            todo += [(Requirement(text), inner) for text in own]
        found.add(name)
    return found


@pytest.mark.skipif(LOWEST, reason="other versions are installed here, on purpose")
def test_everything_that_is_installed_is_pinned_at_its_version() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = [
        *PROJECT["dependencies"],
        *(
            text
            for name in extras
            if name not in ("pdf", "wandb", "trackio")
            for text in extras[name]
            if "ablation-harness" not in text
        ),
    ]  # `pdf` is what prints where there is no Chromium: it is not installed with the others, nor are two large trackers
    known = pins("constraints.txt")
    # What a CUDA build of torch brings: torch's own metadata says which versions, to the last digit.
    missing = {name for name in needed(asked) - known.keys() if not name.startswith(("nvidia-", "cuda-"))}
    assert not missing, f"constraints.txt lacks {', '.join(sorted(missing))}"


def test_lower_bounds_are_the_versions_that_are_tested() -> None:
    lowest = pins("constraints-lowest.txt")
    extras = PROJECT["optional-dependencies"]
    asked = map(Requirement, [*PROJECT["dependencies"], *extras["postgresql"], *extras["cmaes"], *extras["slurm"]])
    bounds = {canonicalize_name(one.name): str(one.specifier).removeprefix(">=") for one in asked}
    assert bounds.pop("torch") == "2.11"  # not installed a second time: constraints.txt says which is tested
    assert {name: short(lowest[name]) for name in bounds} == {name: short(bound) for name, bound in bounds.items()}


def short(version: str) -> str:
    return re.sub(r"(\.0)+$", "", version)


@pytest.mark.skipif(not LOWEST, reason="for `make test-lowest`")
def test_installed_versions_are_the_lowest() -> None:
    """So that `make test-lowest` tests what it says, whatever it borrows from the other environment."""
    assert {name: metadata.version(name) for name in pins("constraints-lowest.txt")} == pins("constraints-lowest.txt")


def test_a_run_a_report_and_a_study_work(harness: Command, quick: None, tmp_path: Path) -> None:
    where = ["--preset", "tiny", "--no-plugins", "--store", tmp_path / "store"]
    for words in (
        ["run", *where],
        ["study", "loss-weights", "--trials", "1", *where],
        ["report", "--store", tmp_path / "store"],
    ):
        answer = harness(*words)
        assert answer.code == 0, answer.err
    assert harness("show").code == 2
    assert harness("predict", "x" * 16, "--out", tmp_path / "x.png", "--store", tmp_path / "store").code == 2
