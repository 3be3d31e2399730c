"""Trainings that are interrupted, killed or find their state damaged end as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from trainings import CPU, Noisy, PowerCut, Taken, Watched, assert_same_training, cell_of, cut_at, train

from harness.data.source import Source
from harness.errors import Interrupted
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.store import Cell, DamagedRecord, Store, Training
from harness.system.progress import Status
from harness.training import checkpoint

Once = Callable[[Cell], tuple[dict[str, Any], Training]]


@pytest.fixture(scope="module")
def once(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Trains a cell without a disturbance, the first time that it is asked for."""
    kept: dict[str, tuple[dict[str, Any], Training]] = {}

    def answer(cell: Cell) -> tuple[dict[str, Any], Training]:
        if cell.training_key not in kept:
            kept[cell.training_key] = train(cell, source, tmp_path_factory.mktemp("undisturbed"))
        return kept[cell.training_key]

    return answer


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("base", {}),
        ("attention+residual", {"training.validate_every": 4}),
        ("curriculum", {"training.validate_every": 1}),
        ("base", {"training.patience": 1, "training.validate_every": 2, "training.max_lr": 0.3}),
        ("base", {"training.validate_every": 100, "loss.ssim_from": 0.2, "loss.ssim_ramp": 0.4}),
        ("noisy", {}),
        ("base", {"training.precision": "bfloat16"}),
    ],
    ids=["base", "validate-every-4", "curriculum", "patience", "never-validated", "dropout", "bfloat16"],
)
@pytest.mark.parametrize("way", ["crash", "crash-early", "crash-saved-every-step", "sigterm"])
def test_an_interrupted_training_equals_an_undisturbed_one_bit_for_bit(
    variant: str, changes: dict[str, object], way: str, source: Source, once: Once, tmp_path: Path
) -> None:
    steps = {"training.steps": 9}
    if variant == "noisy":
        cell, _ = cell_of(steps | {"architecture.bottleneck": Noisy()}, source=source)
    else:
        cell, _ = cell_of(steps | changes, variant, source)
    expected, undisturbed = once(cell)
    root = tmp_path / "interrupted"
    if way.startswith("crash"):
        data = cut_at(1 if way == "crash-early" else 5, source)
        with pytest.raises(PowerCut):
            train(cell, data, root, save_every=0 if way == "crash-saved-every-step" else 60)
    else:
        for stop in (2, 4):

            def terminate(status: Status, stop: int = stop) -> None:
                if status.step == stop:
                    os.kill(os.getpid(), signal.SIGTERM)

            torch.randn(3)  # whatever else the process drew must not matter
            with pytest.raises(Interrupted, match=rf"stopped at step {stop + 1} .*same command again"):
                train(cell, source, root, progress=Watched(terminate))
    found, interrupted = train(cell, source, root)

    assert_same_training(interrupted, undisturbed)
    same = ("steps", "skipped_steps", "best_step", "validation_ssim", "stopped_early", "checkpoint_sha256", "sequences")
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}


def test_the_interrupted_patience_case_does_stop_early(source: Source, tmp_path: Path) -> None:
    changes = {"training.steps": 9, "training.patience": 1, "training.validate_every": 2, "training.max_lr": 0.3}
    cell, _ = cell_of(changes, source=source)
    assert train(cell, source, tmp_path)[0]["stopped_early"]


@pytest.mark.parametrize("stopped_by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_loses_no_step(stopped_by: signal.Signals, source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of({"training.steps": 50, "training.validate_every": 40}, source=source)
    progress = Watched(lambda status: os.kill(os.getpid(), stopped_by) if status.step == 7 else None)
    with pytest.raises(Interrupted):
        train(cell, source, tmp_path, progress=progress)
    resumed = Watched()
    train(cell, source, tmp_path, progress=resumed)
    assert resumed.statuses[0].step == progress.statuses[-1].step == 8


def test_a_second_signal_stops_at_once_and_handlers_are_put_back(source: Source, tmp_path: Path) -> None:
    def twice(status: Status) -> None:
        if status.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    cell, _ = cell_of(source=source)
    with pytest.raises(KeyboardInterrupt):
        train(cell, source, tmp_path, progress=Watched(twice))
    assert [signal.getsignal(number) for number in watched] == before
    train(cell, source, tmp_path)
    assert [signal.getsignal(number) for number in watched] == before


def test_trains_in_a_thread_too_where_signals_do_not_reach(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of(source=source)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(train(cell, source, tmp_path)[0]))
    thread.start()
    thread.join()
    assert found[0]["steps"] == 6


def test_a_finished_training_is_not_trained_further(source: Source, tmp_path: Path, taken: list[Taken]) -> None:
    cell, _ = cell_of(source=source)
    first, _ = train(cell, source, tmp_path)
    count = len(taken)
    again, _ = train(cell, source, tmp_path)
    assert len(taken) == count == 6
    assert again["checkpoint_sha256"] == first["checkpoint_sha256"]


@pytest.mark.parametrize(
    ("variant", "more"),
    [
        ("curriculum", {}),
        (
            "predrnn",
            {
                "training.optimizer": "muon",
                "training.average": "ema",
                "training.feeding": "scheduled-sampling",
                "data.augment": "noise",
            },
        ),
    ],
    ids=["curriculum", "predrnn-muon-ema-feeding-noise"],
)
def test_killed_in_mid_training_and_run_again_ends_as_if_nothing_had_been(
    variant: str, more: dict[str, str], tmp_path: Path, quick: None
) -> None:
    """`kill -9` leaves no time to save; the same command resumes from the last checkpoint."""
    settings: dict[str, object] = {"training.steps": 100, "training.validate_every": 10, **more}
    words = [sys.executable, "-c", "from harness.cli.app import main; main()", "run", "--preset", "tiny", "--json"]
    words += ["--variant", variant, "--device", "cpu", "--store", str(tmp_path / "killed")]
    words += [word for path, value in settings.items() for word in ("--set", f"{path}={value}")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    cell, source = cell_of(settings, variant)
    folder = Store(tmp_path / "killed").training(cell)

    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (folder.path / "last.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
    assert not (folder.path / "training.json").exists(), "it had finished before it was killed"

    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["resumed"]
    assert "resuming" in done.stderr
    undisturbed = run_cell(cell, Store(tmp_path / "undisturbed"), source).result
    for key in ("metrics", "metrics_per_frame", "baselines", "run_id"):
        assert record[key] == undisturbed[key]
    other = Store(tmp_path / "undisturbed").training(cell)
    assert_same_training(folder, other)
    digests = [one.read("training.json")["checkpoint_sha256"] for one in (folder, other)]
    assert digests[0] == digests[1]


# --- damaged state


def damage(path: Path, how: str, source: Source, tmp_path: Path) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a checkpoint " * 10)
    elif how == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    elif how == "flipped":
        content = bytearray(path.read_bytes())
        content[-1000] ^= 1  # in the tensors, where nothing but a digest can tell
        path.write_bytes(content)
    elif how == "best-is-flipped":
        path = next(path.parent.glob("best-*.safetensors"))
        content = bytearray(path.read_bytes())
        content[-1000] ^= 1
        path.write_bytes(content)
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "another-seed":
        cell, _ = cell_of({"training.seed": 5}, source=source)
        _, folder = train(cell, source, tmp_path / "other")
        path.write_bytes((folder.path / "last.safetensors").read_bytes())
    else:
        next(path.parent.glob("best-*.safetensors")).unlink()


DAMAGES = ["truncated", "empty", "text", "foreign", "flipped", "another-seed", "best-is-gone", "best-is-flipped", "folder"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_state_is_never_gone_on_from(how: str, source: Source, tmp_path: Path, quick: None) -> None:
    """The trainer names it and leaves it alone; the command puts all of it into quarantine and trains from the beginning."""
    cell, _ = cell_of(source=source)
    with pytest.raises(PowerCut):
        train(cell, cut_at(5, source), tmp_path / "store", save_every=0)
    store = Store(tmp_path / "store")
    folder = store.training(cell)
    damage(folder.path / "last.safetensors", how, source, tmp_path)
    before = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    with pytest.raises(DamagedRecord) as caught:
        train(cell, source, tmp_path / "store")
    assert str(folder.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {name: (folder.path / name).read_bytes() for name in before} == before

    notes: list[str] = []
    outcome = run_cell(cell, store, source, context=Context(note=notes.append))
    assert outcome.result["training"]["steps"] == cell.experiment.training.steps
    assert not outcome.resumed
    (aside,) = (store.root / "quarantine").iterdir()
    assert len(notes) == 1
    assert str(aside) in notes[0]
    kept = aside / folder.path.name
    assert {name: (kept / name).read_bytes() for name in before} == before
    fresh, _ = train(cell, source, tmp_path / "fresh")
    assert folder.read("training.json")["checkpoint_sha256"] == fresh["checkpoint_sha256"]


def test_force_trains_anew_beside_a_damaged_state(source: Source, tmp_path: Path, quick: None) -> None:
    cell, _ = cell_of(source=source)
    store = Store(tmp_path)
    store.training(cell).write_bytes("last.safetensors", b"x")
    assert run_cell(cell, store, source, context=Context(force=True)).result["status"] == "finished"
    assert [path.read_bytes() for path in tmp_path.glob("trainings/*~1/last.safetensors")] == [b"x"]


def test_checkpoints_are_safetensors_and_json(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of(source=source)
    summary, folder = train(cell, source, tmp_path)
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == [summary["checkpoint"], "experiment.json", "last.safetensors", "metrics.jsonl"]
    for path in folder.path.glob("*.safetensors"):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert {value["dtype"] for name, value in header.items() if name != "__metadata__"} == {"F32"}
        assert b"pickle" not in content


def test_a_network_that_does_not_fit_the_checkpoint_is_refused(source: Source, tmp_path: Path) -> None:
    cell, _ = cell_of(source=source)
    summary, folder = train(cell, source, tmp_path)
    path = folder.path / summary["checkpoint"]
    other, _ = cell_of(variant="residual", source=source)
    with pytest.raises(DamagedRecord, match="does not hold this experiment's network"):
        checkpoint.load_model(other.experiment, source.shape, path, CPU)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DamagedRecord, match=path.name):
        checkpoint.load_model(cell.experiment, source.shape, path, CPU)
