"""Several cells in one process: each ends as it does alone, whatever becomes of the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cluster import answer, wait_for
from trainings import assert_same_training, switches

from harness.data.source import Source
from harness.executors.processes import Processes
from harness.options import RunOptions
from harness.runs.job import Job
from harness.runs.request import Request
from harness.runs.together import Together
from harness.store import Store, Training
from harness.training import loop
from harness.variant import Variants

QUICK = {"training.validate_every": 4, "training.steps": 8, "data.test_sequences": 2, "data.validation_sequences": 2}
DRAWS = {"training.average": "ema", "training.feeding": "scheduled-sampling", "data.augment": "noise"}


def job(store: Path, seed: int, variant: str = "base", options: RunOptions | None = None, **settings: Any) -> Job:
    request = Request(preset="tiny", settings=QUICK | {name.replace("__", "."): one for name, one in settings.items()})
    return Job(
        request=request,
        variant=variant,
        seed=seed,
        store=store,
        threads=1,
        silent=True,
        evaluate=False,
        options=options or RunOptions(),
    )


def training(task: Job) -> Training:
    return Store(task.store).training(task.request.cell(Variants(), task.variant, task.seed)[0])


def assert_as_alone(tasks: list[Job], store: Path) -> None:
    """Trains each by itself, elsewhere, and compares all that a training leaves."""
    for task in tasks:
        alone = replace(task, store=store)
        assert alone.run().error is None
        assert_same_training(training(task), training(alone))
        ours, theirs = (training(one).read("training.json")["checkpoint_sha256"] for one in (task, alone))
        assert ours == theirs


@pytest.mark.parametrize(("variant", "more"), [("base", {}), ("predrnn", DRAWS)], ids=["base", "predrnn-ema-feeding-noise"])
def test_each_seed_ends_as_it_does_alone_bit_for_bit(variant: str, more: dict[str, str], tmp_path: Path) -> None:
    tasks = [job(tmp_path / "together", seed, variant, **more) for seed in range(3)]
    done = Together(tuple(tasks)).run()
    assert [part.error for part in done.parts] == [None] * 3
    assert [part.run_id for part in done.parts] == [
        task.request.cell(Variants(), task.variant, task.seed)[0].run_id for task in tasks
    ]
    assert_as_alone(tasks, tmp_path / "alone")


def test_trainings_take_turns_and_what_they_set_for_the_process_is_each_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, taken = loop.train_step, []

    def watched(*given: Any, **named: Any) -> Any:
        def see() -> tuple[str, bool, str]:
            deterministic = torch.are_deterministic_algorithms_enabled()
            return threading.current_thread().name, deterministic, torch.backends.mkldnn.matmul.fp32_precision

        before = see()
        found = step(*given, **named)
        assert see() == before
        taken.append(before)
        return found

    monkeypatch.setattr(loop, "train_step", watched)
    tasks = [
        job(tmp_path, 0),
        job(tmp_path, 1, options=RunOptions(deterministic=True)),
        job(tmp_path, 2, training__precision="bfloat16"),
    ]
    before = switches()[:3]
    assert [part.error for part in Together(tuple(tasks)).run().parts] == [None] * 3
    assert switches()[:3] == before
    threads = [name for name, _, _ in taken]
    whose = {
        name: {(deterministic, precision) for thread, deterministic, precision in taken if thread == name}
        for name in threads
    }
    assert sorted(whose.values(), key=str) == [{(False, "ieee")}, {(False, before[2])}, {(True, "ieee")}]
    middle = threads[6:-6]  # at its two ends not all of them train
    assert all(len(set(middle[at : at + 3])) == 3 for at in range(len(middle) - 2)), threads


def test_one_that_stops_early_and_one_that_diverges_leave_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Source.train_batch

    def poisoned(source: Source, seed: int, step: int, *given: Any) -> torch.Tensor:
        frames = batch(source, seed, step, *given)
        return frames * float("nan") if seed == 2 and step >= 2 else frames

    monkeypatch.setattr(Source, "train_batch", poisoned)
    patient = job(tmp_path / "together", 0)
    early = job(
        tmp_path / "together", 1, training__patience=1, training__validate_every=2, training__optimizer="sgd(lr=1e-12)"
    )
    diverges = job(tmp_path / "together", 2, training__max_skipped=1)
    done = Together((patient, diverges, early)).run()
    assert "diverged" in str(done.parts[1].error)
    assert [done.parts[0].error, done.parts[2].error] == [None, None]
    assert training(early).read("training.json")["stopped_early"]
    assert training(early).read("training.json")["steps"] < training(patient).read("training.json")["steps"] == 8
    assert_as_alone([patient, early], tmp_path / "alone")


def test_told_to_stop_all_save_their_state_and_go_on_from_it(tmp_path: Path) -> None:
    tasks = [job(tmp_path / "together", seed, training__steps=96, training__validate_every=48) for seed in range(2)]

    def stop(ticket: int) -> None:
        wait_for(lambda: all((training(task).path / "metrics.jsonl").exists() for task in tasks))
        processes.stop(ticket)

    with closing(Processes(1)) as processes:
        done = answer(processes, Together(tuple(tasks)), stop)
    assert done.stopped
    assert ["the state is saved" in str(part.error) for part in done.parts] == [True, True]
    resumed = Together(tuple(tasks)).run()
    assert [(part.error, part.resumed) for part in resumed.parts] == [(None, True)] * 2
    assert_as_alone(tasks, tmp_path / "alone")


def test_killed_in_mid_training_each_goes_on_from_its_last_state(tmp_path: Path) -> None:
    tasks = [job(tmp_path / "together", seed, "predrnn", **DRAWS, training__steps=24) for seed in range(2)]
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path, PosixPath
from harness.options import RunOptions
from harness.runs.job import Job
from harness.runs.request import Request
from harness.runs.together import Together
Together(({", ".join(map(repr, tasks))},)).run()
"""
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        while not all((training(task).path / "last.safetensors").exists() for task in tasks):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not any((training(task).path / "training.json").exists() for task in tasks), "they had finished"
    done = Together(tuple(tasks)).run()
    assert [(part.error, part.resumed) for part in done.parts] == [(None, True)] * 2
    assert_as_alone(tasks, tmp_path / "alone")


def test_one_that_waits_for_another_process_holds_nobody_up(tmp_path: Path) -> None:
    tasks = [replace(job(tmp_path, seed), evaluate=True) for seed in range(2)]
    held, ended = training(tasks[0]), threading.Event()
    answers: list[Any] = []
    with Store(tmp_path).own(held):
        thread = threading.Thread(target=lambda: (answers.append(Together(tuple(tasks)).run()), ended.set()))
        thread.start()
        wait_for((training(tasks[1]).path / "training.json").exists)
        assert not ended.wait(0.1)
        assert not (held.path / "training.json").exists()
    thread.join()
    assert [part.error for part in answers[0].parts] == [None, None]
    assert any("another process trains it" in note for note in answers[0].parts[0].notes)


def test_one_that_memory_is_too_small_for_is_run_again_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, running = loop.fit, []

    def cramped(experiment: Any, *given: Any, **named: Any) -> Any:
        running.append(experiment.training.seed)
        if experiment.training.seed == 1 and threading.current_thread() is not threading.main_thread():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return fit(experiment, *given, **named)

    monkeypatch.setattr(loop, "fit", cramped)
    done = Together(tuple(job(tmp_path, seed) for seed in range(3))).run()
    assert [part.error for part in done.parts] == [None] * 3
    assert (sorted(running[:-1]), running[-1]) == ([0, 1, 2], 1)
    assert any("run again alone" in note for note in done.parts[1].notes)


def test_a_component_that_draws_as_it_runs_draws_the_same(tmp_path: Path) -> None:
    from trainings import Noisy

    def cells(store: Path) -> list[tuple[Any, Training]]:
        found = []
        for seed in range(2):
            cell, source = job(store, seed).request.cell(Variants(), "base", seed)
            noisy = replace(cell.experiment.architecture, bottleneck=Noisy())
            found.append((replace(cell.experiment, architecture=noisy), Training(store / f"{seed}")))
            found[-1][1].path.mkdir(parents=True)
        return [(experiment, folder, source) for experiment, folder in found]

    from harness.system.progress import Silent
    from harness.system.turns import ALONE, Turn, Turns

    def fit(one: Any, turn: Turn) -> None:
        experiment, folder, source = one
        turn.join()
        try:
            loop.fit(experiment, source, folder, torch.device("cpu"), Silent(), RunOptions(), turn=turn)
        finally:
            turn.leave()

    turns = Turns()
    threads = [threading.Thread(target=fit, args=(one, turns.new())) for one in cells(tmp_path / "together")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in cells(tmp_path / "alone"):
        fit(one, ALONE)
    for seed in range(2):
        assert_same_training(Training(tmp_path / "together" / f"{seed}"), Training(tmp_path / "alone" / f"{seed}"))
