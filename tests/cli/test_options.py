"""An option is declared in one place, and its value reaches every executor."""

from __future__ import annotations

import doctest
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import options
from harness.options import ExecutorOptions, RunOptions, option
from harness.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Sample:
    fast: bool = option(False, "Hurry.")
    some_name: str | None = option(None, "A name.", flag="--name -n")
    share: float = option(0.5, "A share.", at_least=0)
    parts: list[str] | None = option(None, "Parts.", flag="--part")


def called(*words: str) -> tuple[int, str, list[tuple[int, Sample]]]:
    found: list[tuple[int, Sample]] = []
    app = typer.Typer()

    @app.command()
    @options.expand_options
    def go(*, often: int = 1, sample: Sample) -> None:
        """Goes."""
        found.append((often, sample))

    result = CliRunner().invoke(app, words, env={"COLUMNS": "120", "TERM": "dumb"})
    return result.exit_code, result.output, found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), (1, Sample())),
        (("--fast", "--often", "3"), (3, Sample(fast=True))),
        (("-n", "x", "--share", "2"), (1, Sample(some_name="x", share=2.0))),
        (("--part", "a", "--part", "b"), (1, Sample(parts=["a", "b"]))),
    ],
)
def test_a_command_receives_the_filled_dataclass(words: tuple[str, ...], expected: tuple[int, Sample]) -> None:
    assert called(*words) == (0, "", [expected])


def test_help_shows_an_option_per_field() -> None:
    _, text, _ = called("--help")
    for words in ("Goes.", "--often", "--fast", "Hurry.", "--name", "-n", "A name.", "--share", "[default: 0.5]", "x>=0"):
        assert words in text
    assert "--no-fast" not in text


def test_a_value_out_of_range_is_refused() -> None:
    code, text, found = called("--share", "-1")
    assert (code, found) == (2, [])
    assert "--share" in text


def test_options_and_defaults_agree_on_every_command_that_runs_cells() -> None:
    import inspect

    from harness.cli import ablate, run, study

    for command, groups in (
        (run.run, (RunOptions,)),
        (ablate.ablate, (RunOptions, ExecutorOptions)),
        (study.study, (RunOptions, ExecutorOptions)),
    ):
        parameters = inspect.signature(command).parameters
        for group in groups:
            for name, value in vars(group()).items():
                assert parameters[name].default == value


def test_the_examples_of_docstrings_hold() -> None:
    from harness.cli import printing

    for module in (options, printing):
        assert doctest.testmod(module).failed == 0


FIELD = '    rehearsals: int = option(1, "Rehearse this often.", at_least=1)\n'
SCRIPT = """
import contextlib, io, multiprocessing, pickle, sys
from pathlib import Path

import harness
assert Path(harness.__file__).is_relative_to(Path.cwd()), harness.__file__
from harness.cli.app import main

def call(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(words)
    return out.getvalue()

for command in ("run", "ablate", "study"):
    text = call(command, "--help")
    assert "--rehearsals" in text and "Rehearse this often." in text, text
assert "torch" not in sys.modules

from harness.executors import processes, ray, remote, slurm
from harness.runs.job import Done

sent = {}

def send(kind, task):
    sent.setdefault(kind, []).append(pickle.loads(pickle.dumps(task)))

class Worker:
    def submit(self, task):
        send("processes", task)
        self.connection, child = multiprocessing.Pipe()
        child.send(Done("", error="not run"))
    def result(self):
        return self.connection.recv()
    def close(self):
        self.connection.close()

class StandIn(remote.Remote):
    slots = 1
    def __init__(self, resources, store, note, slots):
        super().__init__(store, note)
    def _send(self, remote_task):
        send(type(self).__name__, remote_task)
    def _cancel(self, handle): ...
    def _ready(self, timeout):
        return list(self._submissions)
    def _answer(self, submission):
        return Done("", error="not run")

processes.Worker = Worker
ray.Ray, slurm.Slurm = type("ray", (StandIn,), {}), type("slurm", (StandIn,), {})
for words in (("ablate", "--plan", "base", "--seeds", "1", "--retries", "0"), ("study", "loss-weights", "--max-failures", "1")):
    for executor in ("processes", "ray", "slurm"):
        sent.clear()
        call(*words, "--preset", "tiny", "--device", "cpu", "--executor", executor, "--rehearsals", "3", "--store", "store")
        (tasks,) = sent.values()
        assert set(sent) == {executor} and tasks
        jobs = tasks if executor == "processes" else [one.task for one in tasks]
        assert {type(job).__name__ for job in jobs} == {"Job"}
        assert {job.options.rehearsals for job in jobs} == {3}, jobs
"""


def test_a_new_option_is_one_field_in_one_file(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "harness", tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    declared = tmp_path / "harness" / "options.py"
    text = declared.read_text()
    start = text.index("    save_every: float = option(")
    declared.write_text(text[:start] + FIELD + text[start:])
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr


def test_the_help_of_preset_names_every_preset() -> None:
    shown = options.PresetOptions.__dataclass_fields__["preset"].metadata["help"]
    assert [name for name in PRESETS if name not in shown] == []
