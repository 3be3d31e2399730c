"""A cell from the store or from scratch: memory that runs out, several who ask at once, trainings that are shared."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from trainings import Notes, Watched, cell_of

from harness.data.source import Source
from harness.errors import HarnessError, Interrupted
from harness.evaluation import cost as measure
from harness.evaluation import evaluate as inference
from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.runs.outcome import Outcome
from harness.store import Store
from harness.system.progress import Status
from harness.training import build, checkpoint, loop


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def source() -> Source:
    return cell_of()[1]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_variant_batch_and_what_to_lower(
    error: Exception, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(build, "composite_loss", full)
    cell, _ = cell_of({"training.batch_size": 3}, "attention", source)
    with pytest.raises(
        HarnessError, match=r"'attention'.*training.batch_size=3.*lower training.batch_size.*data.canvas"
    ) as caught:
        run_cell(cell, Store(tmp_path), source)
    assert caught.value.exit_code == 1


class Small:
    """A memory that holds the step of at most `most` sequences: stands in for a full GPU."""

    def __init__(self, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried: list[int] = []
        loss = build.composite_loss

        def limited(prediction: Tensor, target: Tensor, *rest: Any) -> Tensor:
            self.tried.append(len(prediction))
            if len(prediction) > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return loss(prediction, target, *rest)

        monkeypatch.setattr(build, "composite_loss", limited)
        monkeypatch.setattr("harness.runs.smoke_test.smoke_test", lambda *words: None)  # it sends one sequence through


def test_auto_batch_adds_up_parts_that_fit_and_the_result_stays_the_same_cell(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, _ = cell_of({"training.batch_size": 5}, source=source)
    whole = run_cell(cell, Store(tmp_path / "whole"), source).result
    memory, notes = Small(2, monkeypatch), Notes()
    halved = run_cell(
        cell, Store(tmp_path / "halved"), source, RunOptions(auto_batch=True), Context(progress=lambda title: notes)
    ).result
    assert memory.tried[:6] == [5, 3, 2, 2, 1, 2]  # halved until it fits, then so for good
    assert [note for note in notes.notes if "2 of 5 sequences at once" in note]
    assert (halved["run_id"], halved["training_key"]) == (whole["run_id"], whole["training_key"])
    assert halved["training"]["sequences_at_once"] == 2
    assert whole["training"]["sequences_at_once"] == 5
    assert halved["metrics"]["ssim"] == pytest.approx(whole["metrics"]["ssim"], abs=1e-4)
    first, second = (load_file(next((tmp_path / name).glob("trainings/*/best-*"))) for name in ("whole", "halved"))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=0, atol=1e-4)


def test_auto_batch_gives_up_when_one_sequence_does_not_fit(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Small(0, monkeypatch)
    with pytest.raises(HarnessError, match=r"out of memory.*batch_size=4; lower training\.batch_size"):
        run_cell(cell_of(source=source)[0], Store(tmp_path), source, RunOptions(auto_batch=True))
    assert memory.tried == [4, 2, 1]


@pytest.mark.parametrize("most", [1, 2])
def test_auto_batch_validates_and_tests_fewer_sequences_at_once_with_the_same_numbers(
    most: int, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, _ = cell_of({"training.steps": 4, "training.validate_every": 2}, source=source)
    whole = run_cell(cell, Store(tmp_path / "whole"), source)
    predict = inference.predict

    def limited(model: Any, inputs: Tensor, *args: Any) -> Tensor:
        if len(inputs) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return predict(model, inputs, *args)

    for module in (inference, measure):
        monkeypatch.setattr(module, "predict", limited)
    notes, progress = Notes(), Notes()
    context = Context(progress=lambda title: progress, note=notes.note)
    parts = run_cell(cell, Store(tmp_path / "parts"), source, RunOptions(auto_batch=True), context)
    assert parts.result["metrics"] == pytest.approx(whole.result["metrics"], abs=1e-5)
    found = [json.loads((one.path / "sequences.json").read_bytes())["ssim"] for one in (whole, parts)]
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    assert (whole.result["inference"]["batch_size"], parts.result["inference"]["batch_size"]) == (4, most)
    assert parts.result["training"]["sequences_at_once"] == 4  # a step did fit
    assert [text for text in notes.notes if text.startswith("testing 'base'") and f"{most} of 4 sequences" in text]
    assert [text for text in progress.notes if text.startswith("validation: ") and f"{most} of 4 sequences" in text]


def test_a_state_that_does_not_fit_into_memory_is_not_taken_for_damaged(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(status: Status) -> None:
        if status.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def full(*words: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    cell, store = cell_of(source=source)[0], Store(tmp_path)
    with pytest.raises(Interrupted):
        run_cell(cell, store, source, context=Context(progress=lambda title: Watched(stop)))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "load_file", full)
        with pytest.raises(HarnessError, match="out of memory on cpu while training 'base'"):
            run_cell(cell, store, source)
    assert not (tmp_path / "quarantine").exists()
    assert run_cell(cell, store, source).resumed


def test_another_error_is_not_taken_for_lack_of_memory(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: Any, **options: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(build, "composite_loss", broken)
    monkeypatch.setattr("harness.runs.smoke_test.smoke_test", lambda *words: None)
    with pytest.raises(RuntimeError, match="a bug"):
        run_cell(cell_of(source=source)[0], Store(tmp_path), source)


def count_fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    fit = loop.fit

    def counted(*words: Any, **options: Any) -> Any:
        calls.append(words[2].path.name)
        return fit(*words, **options)

    monkeypatch.setattr(loop, "fit", counted)
    return calls


def test_a_cell_that_many_ask_for_at_once_is_trained_once(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    calls = count_fits(monkeypatch)
    cell, _ = cell_of(source=source)
    outcomes: list[Outcome] = []

    def ask() -> None:
        outcomes.append(run_cell(cell, Store(tmp_path), source))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [cell.training_key]
    assert sorted(outcome.cached for outcome in outcomes) == [False, True, True, True]
    assert all(outcome.result == outcomes[0].result for outcome in outcomes)


def test_variants_that_differ_in_inference_alone_share_a_training(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    calls = count_fits(monkeypatch)
    results = [run_cell(cell_of(variant=name, source=source)[0], Store(tmp_path), source).result for name in ("base", "tta")]
    assert len(calls) == 1
    assert results[0]["run_id"] != results[1]["run_id"]
    assert results[0]["metrics"] != results[1]["metrics"]
    assert results[0]["baselines"] == results[1]["baselines"]
