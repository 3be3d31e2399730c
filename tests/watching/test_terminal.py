"""`harness ablate` and `harness watch` on a terminal, where the table is live, and what is left after a kill."""

from __future__ import annotations

import os
import re
import signal
import sys
import urllib.request
from pathlib import Path

import pexpect
import pytest

from harness.store import Store
from harness.watching.board import Reader, find_plan

WORDS = ["--plan", "base,tta", "--seeds", "2", "--preset", "tiny", "--workers", "1"]
QUICK = {
    "training.steps": "40",
    "training.validate_every": "20",
    "data.test_sequences": "2",
    "data.validation_sequences": "2",
}


def spawn(command: str, *words: str) -> pexpect.spawn[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color"}
    return pexpect.spawn(
        sys.executable,
        ["-m", "harness", command, *words],
        env=environment,
        dimensions=(40, 140),
        encoding="utf-8",
        timeout=180,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )


def ablate(store: Path, *words: str, **changes: str) -> pexpect.spawn[str]:
    settings = [word for path, value in (QUICK | changes).items() for word in ("--set", f"{path}={value}")]
    return spawn("ablate", *WORDS, *words, *settings, "--store", str(store))


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.slow
def test_a_live_table_that_survives_a_kill(tmp_path: Path) -> None:
    child = ablate(tmp_path, **{"training.steps": "100000"})
    child.expect(r"1 running")
    child.expect(r"\d:\d\d left")
    page = next((tmp_path / "watch").glob("*.html"))
    os.kill(child.pid, signal.SIGKILL)
    child.expect(pexpect.EOF)
    watching = spawn("watch", "--store", str(tmp_path), "--port", "0")
    watching.expect(r"http://localhost:\d+/")
    watching.expect(r"stopped at")  # once the children have saved and ended
    watching.sendintr()
    watching.expect(pexpect.EOF)
    watching.close()
    assert watching.exitstatus == 0
    store = Store(tmp_path)
    board = Reader(store, find_plan(store, None)).read()
    assert board.counts == {"unfinished": 2, "waiting": 2}  # tta of seed 0 needs the training of base
    assert "cells finished" in page.read_text()


@pytest.mark.slow
def test_the_table_at_the_end(tmp_path: Path) -> None:
    child = ablate(tmp_path)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    shown = plain(child.before or "")
    assert "4 of 4 cells finished" in shown
    assert re.search(r"tta +\d\.\d{4} +\d\.\d{4} +[+-]\d\.\d{4} \[.*\] of 2 seeds", shown)
    assert "base seed 0: finished" in shown  # notes stand above the table


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["slurm", "ray"])
def test_cells_of_a_cluster_are_seen_too(executor: str, tmp_path: Path) -> None:
    """The board reads the store alone, whoever runs the cells: submitit's own executor, or a Ray cluster made here."""
    where = {"slurm": ["--slurm", "cluster=local"], "ray": []}[executor]
    child = ablate(tmp_path, "--executor", executor, *where, **{"training.steps": "100000"})
    child.expect(r"1 running")
    watching = spawn("watch", "--store", str(tmp_path), "--port", "0")
    watching.expect(r"http://localhost:\d+/")
    address = watching.after
    watching.expect(r"1 running")
    watching.expect(r"\d:\d\d left")  # its log has begun
    with urllib.request.urlopen(str(address)) as page:
        assert "1 running" in page.read().decode()
    watching.sendintr()
    watching.expect(pexpect.EOF)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    store = Store(tmp_path)
    assert Reader(store, find_plan(store, None)).read().counts == {"unfinished": 2, "waiting": 2}
