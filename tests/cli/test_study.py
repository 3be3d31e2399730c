"""What `harness study` prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.study import print_study


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store with a study of four trials, the last one searched, and its document."""
    store = tmp_path_factory.mktemp("tuned") / "store"
    return store, study(store, "--trials", "4")


def command(store: Path, *words: str, name: str = "loss-weights") -> list[str]:
    call = [
        sys.executable,
        "-m",
        "harness.cli.app",
        "study",
        name,
        "--preset",
        "tiny",
        "--store",
        str(store),
        "--json",
        *words,
    ]
    return [*call, "--no-plugins"]


def study(store: Path, *words: str, name: str = "loss-weights") -> dict[str, Any]:
    done = subprocess.run(command(store, *words, name=name), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_what_is_printed_names_every_trial_the_best_and_the_verdict(
    tuned: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, document = tuned
    rows = [{"name": "chosen", "values": {"7": 0.5, "8": None}, "mean": 0.5}]
    confirm = {"seeds": [7, 8], "rows": rows, "verdict": "helps, they say"}
    failed = document["trials"][0] | {"state": "FAIL", "value": None, "error": "it broke"}
    print_study(document | {"confirm": confirm, "front": [0, 2], "trials": [failed, *document["trials"][1:]]})
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert [line[0] for line in lines[2 : 2 + len(document["trials"])]] == [str(t["number"]) for t in document["trials"]]
    assert lines[2][-2:] == ["fail", "none"]
    best = document["best"]
    assert f"best: trial {best['number']}, validation SSIM {best['value']:.4f}; written to {best['config']}" in shown.out
    assert "trials 0, 2" in shown.out
    assert ["chosen", "0.5000", "none", "0.5000"] in lines
    assert "helps, they say" in shown.out
    assert "trial 0: it broke" in shown.err
    print_study(document | {"best": None})
    assert capsys.readouterr().out.endswith("no trial has finished yet\n")
