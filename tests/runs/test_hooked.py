"""Hooks hear every moment of a run in order, and none of them can change, hold up or end a training."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from trainings import Data, Watched, cell_of, poison

from harness.errors import HarnessError, Interrupted
from harness.hooks import Hook, RunInfo
from harness.options import RunOptions
from harness.runs import hooked
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.runs.outcome import Outcome
from harness.store import Store

CHANGES: dict[str, object] = {
    "training.steps": 40,
    "training.validate_every": 20,
    "data.test_sequences": 2,
    "data.validation_sequences": 2,
}
METHODS = ("start", "step", "validation", "picture", "end")
TIMES = ("seconds", "warm_up_seconds", "sequences_per_second", "memory")


class Heard(Hook):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, tuple[Any, ...]]] = []

    def __getattribute__(self, name: str) -> Any:
        if name not in ("start", "step", "validation", "picture", "end", "stop", "failure"):
            return super().__getattribute__(name)
        return lambda *arguments: self.heard.append((name, arguments))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    def of(self, wanted: str) -> list[tuple[Any, ...]]:
        return [arguments for name, arguments in self.heard if name == wanted]


def run(root: Path, *hooks: object, context: Context | None = None) -> Outcome:
    cell, source = cell_of(CHANGES)
    return run_cell(cell, Store(root), source, RunOptions(hooks=list(hooks)), context or Context())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run without hooks."""
    root = tmp_path_factory.mktemp("alone")
    return root, run(root).result


def assert_same_run(root: Path, result: dict[str, Any], alone: tuple[Path, dict[str, Any]]) -> None:
    """All figures but times, and the weights to the last bit."""
    expected, reference = alone[1], alone[0]
    for name in ("run_id", "metrics", "metrics_per_frame", "baselines", "test_digest"):
        assert result[name] == expected[name]
    training = {
        name: one for name, one in result["training"].items() if name not in (*TIMES, "checkpoint_sha256", "waiting_share")
    }
    assert training == {name: expected["training"][name] for name in training}
    for path in reference.glob("trainings/*/*.safetensors"):
        ours, theirs = load_file(root / path.relative_to(reference)), load_file(path)
        assert all(torch.equal(ours[name], one) for name, one in theirs.items())


def test_a_hook_hears_every_moment_in_order(tmp_path: Path) -> None:
    heard = Heard()
    outcome = run(tmp_path, heard)
    assert heard.names == ["start", "step", "step", "validation", "step", "step", "validation", "picture", "end"]
    ((info,),) = heard.of("start")
    assert isinstance(info, RunInfo)
    assert (info.run_id, info.arm, info.seed, info.preset) == (outcome.result["run_id"], "base", 0, "tiny")
    assert info.settings["training.steps"] == 40
    assert [step for step, _ in heard.of("step")] == [10, 20, 30, 40]
    assert heard.of("end") == [(outcome.result,)]
    (training,) = Store(tmp_path).trainings()
    stored = {line["step"]: line["ssim"] for line in training.validations()}
    assert {step: metrics["ssim"] for step, metrics in heard.of("validation")} == stored
    ((_, step, png),) = heard.of("picture")
    assert step == 40
    assert png.startswith(b"\x89PNG")


def test_an_answer_from_the_store_is_no_run(tmp_path: Path, alone: tuple[Path, dict[str, Any]]) -> None:
    heard = Heard()
    assert run(alone[0], heard).cached
    assert heard.heard == []


def test_a_run_that_shares_a_training_hears_of_its_validations(tmp_path: Path) -> None:
    run(tmp_path)
    heard = Heard()
    cell, source = cell_of(CHANGES, "tta")
    run_cell(cell, Store(tmp_path), source, RunOptions(hooks=[heard]))  # type: ignore[list-item]
    assert heard.names == ["start", "validation", "validation", "picture", "end"]
    assert [step for step, _ in heard.of("validation")] == [20, 40]


def test_a_predictor_that_takes_the_networks_place_is_heard_of(tmp_path: Path) -> None:
    cell, source = cell_of(CHANGES | {"inference.predictor": "repeat-last"})
    for answers in (["start", "end"], []):  # the second time the store answers
        heard = Heard()
        outcome = run_cell(cell, Store(tmp_path), source, RunOptions(hooks=[heard]))  # type: ignore[list-item]  # a hook itself, not its name
        assert heard.names == answers
        assert heard.of("end") == [(outcome.result,)] * bool(answers)


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3)], ids=["error", "exit"])
def test_hooks_that_raise_in_any_method_cost_nothing(
    tmp_path: Path, alone: tuple[Path, dict[str, Any]], error: BaseException
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    notes: list[str] = []
    broken, heard = [type(f"Broken_{name}", (Hook,), {name: fail}) for name in METHODS], Heard()
    result = run(tmp_path, *broken, heard, context=Context(note=notes.append)).result
    assert_same_run(tmp_path, result, alone)
    assert len(heard.heard) == 9
    for name in METHODS:
        assert [text.count(f"Broken_{name} failed in `{name}`") for text in notes].count(1) == 1


def test_a_hook_that_cannot_be_made_costs_nothing(tmp_path: Path, alone: tuple[Path, dict[str, Any]]) -> None:
    class Unmade(Hook):
        def __init__(self) -> None:
            raise OSError("no server")

    notes: list[str] = []
    assert_same_run(tmp_path, run(tmp_path, Unmade, context=Context(note=notes.append)).result, alone)
    assert any("no server" in text for text in notes)


def _hang(event: threading.Event) -> Callable[..., None]:
    return lambda *arguments: event.wait() and None


def test_hooks_that_hang_in_any_method_are_left_behind(
    tmp_path: Path, alone: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooked, "GRACE", 0.5)
    event, notes, heard = threading.Event(), [], Heard()
    hanging = [type(f"Hanging_{name}", (Hook,), {name: _hang(event)}) for name in ("__init__", *METHODS)]
    result = run(tmp_path, heard, *hanging, context=Context(note=notes.append)).result
    event.set()
    assert_same_run(tmp_path, result, alone)
    assert heard.names[-1] == "end"
    for name in ("__init__", *METHODS):
        assert any(f"Hanging_{name} is left behind" in text for text in notes)


def test_a_slow_hook_does_not_slow_the_training_and_loses_what_does_not_fit(
    tmp_path: Path, alone: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooked, "GRACE", 0.6)
    monkeypatch.setattr(hooked, "WAITING", 2)
    notes, called = [], []

    class Slow(Hook):
        def step(self, step: int, values: object) -> None:
            called.append(step)
            time.sleep(30)

    assert_same_run(tmp_path, run(tmp_path, Slow, context=Context(note=notes.append)).result, alone)
    assert called == [10]
    assert any("events were lost" in text for text in notes)


@pytest.mark.slow
def test_a_hook_that_imports_torch_leaves_the_training_its_own_import(tmp_path: Path) -> None:
    """In a process that has not imported it: of two threads that do so at once, both can fail."""
    (tmp_path / "eager.py").write_text(
        "import harness\n"
        "class Eager(harness.Hook):\n"
        "    def start(self, run):\n"
        "        import torch.utils.data, torch.distributions, torch.jit\n"
    )
    settings = [word for path, value in (CHANGES | {"training.steps": 20}).items() for word in ("--set", f"{path}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "--preset", "tiny", "--hook", "eager:Eager", *settings],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hook" not in done.stderr


def test_what_a_hook_changes_is_a_copy(tmp_path: Path, alone: tuple[Path, dict[str, Any]]) -> None:
    class Vandal(Hook):
        def validation(self, step: int, metrics: Any) -> None:
            metrics.clear()

        def end(self, result: Any) -> None:
            result["metrics"].clear()

    assert_same_run(tmp_path, run(tmp_path, Vandal()).result, alone)


def test_what_a_hook_prints_is_not_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Talker(Hook):
        def start(self, run: RunInfo) -> None:
            print("hello")

    run(tmp_path, Talker)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err


def test_a_run_that_is_stopped_and_resumed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    heard = Heard()

    def act(status: Any) -> None:
        if status.step == 25:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(tmp_path, heard, context=Context(progress=lambda title: Watched(act)))
    assert heard.names[-1] == "stop"
    run(tmp_path, heard)
    assert [info.resumed for (info,) in heard.of("start")] == [False, True]
    assert heard.names[-1] == "end"


def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    heard = Heard()
    cell, source = cell_of(CHANGES | {"training.max_skipped": 2})
    with pytest.raises(HarnessError, match="diverged"):
        run_cell(cell, Store(tmp_path), Data(source, poison(10, 11, 12, 13)), RunOptions(hooks=[heard]))  # type: ignore[list-item, arg-type]
    ((error,),) = heard.of("failure")
    assert "diverged" in error
