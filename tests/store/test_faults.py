"""Faults are injected, and what docs/reliability.md promises holds: nothing is lost, the message is clear, the command goes on."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults as fault_injection
import pytest
import torch

from harness.data.source import Source
from harness.errors import HarnessError, Interrupted
from harness.maintenance import repair
from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.runs.outcome import Outcome
from harness.runs.request import Request
from harness.store import Cell, Store, Training
from harness.system import signals
from harness.system.progress import Silent, Status
from harness.training import loop
from harness.variant import Variants

INSTALLED = Variants(third_party=False)
COMMAND = (sys.executable, "-c", "from harness.cli.app import main; main()")
SHORT = {"training.steps": 3, "training.validate_every": 2, "data.test_sequences": 4, "data.validation_sequences": 4}
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def asked() -> tuple[Cell, Source]:
    torch.set_num_threads(1)
    return Request(preset="tiny", settings=SHORT).cell(INSTALLED, "base", 0)


@pytest.fixture(scope="module")
def undisturbed(asked: tuple[Cell, Source], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("harness.evaluation.cost.median_seconds", lambda once, seconds, **options: 1.0)
        return run_cell(asked[0], Store(tmp_path_factory.mktemp("undisturbed")), asked[1])


@pytest.fixture(autouse=True)
def for_an_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Throughput is not what is tested here."""
    monkeypatch.setattr("harness.evaluation.cost.median_seconds", lambda once, seconds, **options: 1.0)


def same_numbers(one: dict[str, Any], other: dict[str, Any]) -> bool:
    names = ("metrics", "metrics_per_frame", "baselines", "baselines_per_frame", "run_id")
    return all(one[name] == other[name] for name in names)


def damage(store: Store) -> list[repair.Finding]:
    return [one for one in repair.findings(store) if one.kind == "damaged"]


# --- disk full and I/O errors


def test_a_write_may_fail_anywhere(asked: tuple[Cell, Source], undisturbed: Outcome, tmp_path: Path) -> None:
    """One line of error, a whole store, and the same command ends as ever. `make torture` has every single call fail."""
    cell, source = asked

    def work(store: Store) -> Outcome:
        return run_cell(cell, store, source, RunOptions(save_every=0))

    found = fault_injection.sites(tmp_path, work)
    kinds = list({site: number for number, site in enumerate(found, start=1)}.values())
    sample = kinds[::3]
    assert len(found) > 80
    assert len(sample) > 8
    missed = fault_injection.fail_each(
        tmp_path, work, lambda outcome: same_numbers(outcome.result, undisturbed.result), sample
    )
    assert missed == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB, where one can be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_is_really_full_is_one_line_and_the_run_goes_on_when_there_is_room(
    asked: tuple[Cell, Source], undisturbed: Outcome, small_disk: Path
) -> None:
    cell, source = asked
    store = Store(small_disk / "store")
    ballast = small_disk / "ballast"
    for room in (0, 20_000, 60_000, 120_000):
        ballast.unlink(missing_ok=True)
        with ballast.open("wb") as file:
            free = os.statvfs(small_disk)
            file.write(b"x" * max(0, free.f_bavail * free.f_frsize - room))
        with pytest.raises(HarnessError, match="No space left on device"):
            run_cell(cell, store, source, RunOptions(save_every=0))
        assert not damage(store)
    ballast.unlink()
    assert same_numbers(run_cell(cell, store, source).result, undisturbed.result)


# --- power loss


def test_a_file_is_on_disk_before_it_has_its_name_and_lines_before_the_state_that_stands_on_them(
    asked: tuple[Cell, Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, source = asked
    events: list[tuple[str, str]] = []
    write, fsync, replace = os.write, os.fsync, os.replace

    def path_of(handle: int) -> str:
        return os.readlink(f"/proc/self/fd/{handle}")

    def watched_write(handle: int, content: Any) -> int:
        events.append(("write", path_of(handle)))
        return write(handle, content)

    def watched_fsync(handle: int) -> None:
        fsync(handle)
        events.append(("sync", path_of(handle)))

    def watched_replace(source: Any, target: Any) -> None:
        events.append(("name", f"{source} {target}"))
        replace(source, target)

    monkeypatch.setattr(os, "write", watched_write)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    run_cell(cell, Store(tmp_path), source, RunOptions(save_every=0))
    named = [(at, *what.split(" ")) for at, (kind, what) in enumerate(events) if kind == "name"]
    assert {Path(target).name for _, _, target in named} >= {"result.json", "training.json", "last.safetensors"}
    for at, temporary, target in named:
        written = max(index for index, event in enumerate(events[:at]) if event == ("write", temporary))
        assert ("sync", temporary) in events[written:at], target
        assert events[at + 1] == ("sync", str(Path(target).parent)), "the folder after it"
        if Path(target).name in ("last.safetensors", "training.json"):
            lines = [index for index, (_, what) in enumerate(events[:at]) if what.endswith("metrics.jsonl")]
            assert not lines or events[lines[-1]][0] == "sync", target


# --- many processes


EIGHT = """
import json, os, sys
from pathlib import Path
import torch
from harness.evaluation import cost as measure
from harness.runs.cell import run_cell
from harness.variant import Variants
from harness.runs.request import Request
from harness.store import Store

torch.set_num_threads(1)
measure.median_seconds = lambda once, seconds, **options: 1.0
cells, source = [], None
for seed in (0, 1):
    for variant in ("base", "tta"):
        cell, source = Request(preset="tiny", settings=json.loads(sys.argv[2])).cell(
            Variants(third_party=False), variant, seed, source
        )
        cells.append(cell)
children = []
for number in range(8):
    children.append(os.fork())
    if children[-1] == 0:
        try:
            outcome = run_cell(cells[number % 4], Store(Path(sys.argv[1])), source)
            os.write(1, (json.dumps({"cached": outcome.cached, "run_id": outcome.result["run_id"]}) + "\\n").encode())
        finally:
            os._exit(0)
for child in children:
    os.waitpid(child, 0)
"""


def test_eight_processes_that_ask_for_the_same_cells_train_each_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EIGHT, str(tmp_path), json.dumps(SHORT)],
        env=ONE_THREAD,
        capture_output=True,
        text=True,
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 8, done.stderr
    assert sorted(answer["cached"] for answer in answers) == [False] * 4 + [True] * 4, "four cells, each made once"
    store = Store(tmp_path)
    assert not damage(store)
    trainings = list(store.trainings())
    assert len(trainings) == 2
    for training in trainings:  # a second training would have left its lines here
        assert [line["step"] for line in training.lines("metrics.jsonl") if "validation" in line] == [2, 3]


# --- signals


def started(*words: str, when: Callable[[], bool]) -> subprocess.Popen[str]:
    process = subprocess.Popen([*COMMAND, *words], env=ONE_THREAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not when():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


SLOW = """
import time
from dataclasses import dataclass
from typing import ClassVar
from torch import nn
from harness.component import Component
from harness.variant import Variant

@dataclass(frozen=True)
class Slow(Component):
    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "slow"
    def build(self, channels):
        return Sleepy()

class Sleepy(nn.Module):
    def forward(self, value):
        if value.shape[0] > 1:
            time.sleep(SECONDS)
        return value

VARIANT = Variant(name="slow", summary="sleeps", source="nobody", changes={"architecture.bottleneck": Slow()})
"""


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        ("run", signal.SIGTERM, 143),
        ("run", signal.SIGINT, 130),
        ("ablate", signal.SIGTERM, 143),
        ("study", signal.SIGTERM, 143),
    ],
)
def test_a_stopped_command_says_how_to_go_on_and_goes_on(
    command: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    words = ["--preset", "tiny", "--device", "cpu", "--store", str(tmp_path)]
    endless = ["--set", "training.validate_every=50000"]
    endless += (
        ["--set", "training.steps=100000"] if command != "study" else ["--trials", "1", "--set", "training.steps=100000"]
    )
    first = {"run": ["run"], "ablate": ["ablate", "--plan", "base", "--seeds", "1"], "study": ["study", "loss-weights"]}[
        command
    ]
    process = started(*first, *words, *endless, when=lambda: any(tmp_path.glob("trainings/*/metrics.jsonl")))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "stopped: " in err
    assert "run the same command again" in err
    assert "Traceback" not in err
    (state,) = tmp_path.glob("trainings/*/last.safetensors")
    saved = json.loads(Training(state.parent).check_checkpoint(state.name)["state"])
    assert saved["step"] >= 10


def test_a_stopped_report_leaves_the_last_one_whole(asked: tuple[Cell, Source], tmp_path: Path) -> None:
    cell, source = asked
    run_cell(cell, Store(tmp_path), source)
    words = ["report", "--store", str(tmp_path), "--out", str(out := tmp_path / "report")]
    done = subprocess.run([*COMMAND, *words], env=ONE_THREAD, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before = {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    process = started(*words, when=lambda: True)
    while "matplotlib" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_command_is_gone_before_a_scheduler_kills_it_and_its_children_before_it() -> None:
    """Schedulers that send SIGTERM give 5 s or more; benchmarks/reliability.py measures what a training needs of them."""
    assert signals.GRACE < 5
    assert signals.GRACE_OF_CHILDREN < signals.GRACE


def test_a_step_that_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    """What was saved before is kept; the command does not outstay the time that a scheduler gives it."""
    plugin = tmp_path / "slow.py"
    plugin.write_text(SLOW.replace("SECONDS", "600"))
    words = ["run", "--preset", "tiny", "--device", "cpu", "--store", str(tmp_path / "store"), "--plugin", str(plugin)]
    process = started(*words, "--variant", "slow", when=lambda: any(tmp_path.glob("store/trainings/*/environment.json")))
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "stopped: " in err
    assert "run the same command again" in err


def test_a_validation_is_cut_short_and_made_up_for(asked: tuple[Cell, Source], undisturbed: Outcome, tmp_path: Path) -> None:
    cell, source = asked

    class Stopping:
        """Data whose second validation batch is met by SIGTERM."""

        def __getattr__(self, name: str) -> Any:
            return getattr(source, name)

        def validation(self, *args: Any) -> Iterator[Any]:
            batches = list(source.validation(*args))
            yield batches[0]
            os.kill(os.getpid(), signal.SIGTERM)
            yield from batches

    folder = Store(tmp_path).training(cell)
    with pytest.raises(Interrupted, match="stopped at step 2"):
        loop.fit(cell.experiment, Stopping(), folder, torch.device("cpu"), Silent(), RunOptions())  # type: ignore[arg-type]
    assert folder.validations() == []
    outcome = run_cell(cell, Store(tmp_path), source)
    assert outcome.resumed
    assert same_numbers(outcome.result, undisturbed.result)
    assert [line["step"] for line in folder.validations()] == [2, 3]


# --- clocks and names


def test_clocks_that_jump_and_hosts_that_are_renamed_change_nothing(
    asked: tuple[Cell, Source], undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, source = asked
    jumps = itertools.cycle((-(10.0**9), 10.0**9, 0.0))
    whole = time.time
    monkeypatch.setattr(time, "time", lambda: whole() + next(jumps))
    monkeypatch.setattr(socket, "gethostname", lambda: f"host{next(jumps)}")

    def stop(status: Status) -> None:
        if status.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    class Stopping(Silent):
        def update(self, status: Status) -> None:
            stop(status)

    with pytest.raises(Interrupted):
        run_cell(cell, Store(tmp_path), source, context=Context(progress=lambda title: Stopping()))
    outcome = run_cell(cell, Store(tmp_path), source)
    assert outcome.resumed
    assert same_numbers(outcome.result, undisturbed.result)
    assert 0 <= outcome.result["training"]["seconds"] < 1000
