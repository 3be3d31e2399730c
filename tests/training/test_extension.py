"""A finished training, continued: what it ends with, what it is called, and what cannot be continued."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command
from trainings import INSTALLED, PowerCut, assert_same_training, cut_at, essence, train

from harness.data.source import Source
from harness.runs.cell import train_cell
from harness.runs.request import Request
from harness.store import Cell, Store, Training

pytestmark = pytest.mark.usefixtures("quick")
CONSTANT = {"training.schedule": "constant(warmup=0)", "training.average": "ema(decay=0.5)", "training.steps": 6}
TINY = ("run", "--preset", "tiny", "--device", "cpu")


def cell_of(settings: dict[str, object], store: Path, source: Source) -> Cell:
    return Request(preset="tiny", settings=settings, store=store).cell(INSTALLED, "base", 0, source)[0]


def extension_of(parent: Cell, settings: dict[str, object], store: Path, source: Source, text: str) -> Cell:
    request = Request(preset="tiny", settings=settings).extended(parent.run_id, text)  # trained here, but not tested
    return replace(request, store=store).cell(INSTALLED, "base", 0, source)[0]


def trained(cell: Cell, source: Any, store: Path) -> Training:
    """Through the whole of a cell's training, as a run does it."""
    folder = Store(store).training(cell)
    with Store(store).own(folder):
        train_cell(cell, folder, source)
    return folder


def test_at_a_constant_rate_it_is_the_longer_training(source: Source, tmp_path: Path) -> None:
    store = tmp_path / "s"
    parent = cell_of(CONSTANT, store, source)
    trained(parent, source, store)
    extended = trained(extension_of(parent, CONSTANT, store, source, "steps=12"), source, store)
    _, longer = train(cell_of(CONSTANT | {"training.steps": 12}, store, source), source, tmp_path / "longer")
    (tensors, validations, state), (others, other_validations, other_state) = essence(extended), essence(longer)
    best = {name.partition("/")[0] for name in others}
    assert {name.partition("/")[0] for name in tensors} == best
    assert [name for name in others if not torch.equal(tensors[name], others[name])] == []
    assert state == other_state
    assert validations == {step: found for step, found in other_validations.items() if step > 6}


def test_the_rate_is_that_of_the_longer_schedule(source: Source, tmp_path: Path) -> None:
    settings: dict[str, object] = {"training.steps": 20, "training.validate_every": 20}
    parent = cell_of(settings, tmp_path, source)
    trained(parent, source, tmp_path)
    folder = trained(extension_of(parent, settings, tmp_path, source, "steps=60"), source, tmp_path)
    rates = {line["step"]: line["learning_rate"] for line in folder.lines("metrics.jsonl") if "loss" in line}
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    peak, share = parent.experiment.get("training.optimizer.lr"), parent.experiment.get("training.schedule.pct_start")
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=60, pct_start=share)
    theirs = {}
    for step in range(1, 61):
        theirs[step] = optimizer.param_groups[0]["lr"]  # the rate of the step that ends as number `step`
        optimizer.step()
        schedule.step() if step < 60 else None
    assert rates.keys() == {30, 40, 50, 60}
    assert rates == pytest.approx({step: theirs[step] for step in rates}, rel=1e-6)


def test_killed_and_run_again_it_ends_as_if_nothing_had_been(source: Source, tmp_path: Path) -> None:
    ends = []
    for name in ("undisturbed", "cut"):
        store = tmp_path / name
        parent = cell_of({}, store, source)
        trained(parent, source, store)
        cell = extension_of(parent, {}, store, source, "steps=15")
        if name == "cut":
            for step in (6, 11):  # at its first step, and later
                with pytest.raises(PowerCut):
                    trained(cell, cut_at(step, source), store)
        ends.append(trained(cell, source, store))
    assert_same_training(*ends)


def test_it_is_a_run_of_its_own_that_names_its_parent(harness: Command, store: Path) -> None:
    words = (*TINY, "--store", store, "--json")
    parent = harness(*words).document
    assert parent["cached"], "the parent's key is what it was"
    found = harness(*words, "--extend", "steps=9").document
    longer = harness(*words, "--set", "training.steps=9", "--dry-run").document
    assert len({parent["run_id"], found["run_id"], longer["run_id"]}) == 3
    assert found["training"]["steps"] == 9
    record = json.loads((store / "runs" / found["run_id"] / "experiment.json").read_text())
    key = json.loads((store / "runs" / parent["run_id"] / "experiment.json").read_text())["training_key"]
    start = record["experiment"]["training"]["start"]
    state = str(store / "trainings" / key / "last.safetensors")
    assert start == {"name": "extension", "run": parent["run_id"], "parent": key, "step": 6, "path": state}
    assert (
        f"continues run {parent['run_id']} (training {key}) from step 6"
        in harness("show", found["run_id"], "--store", store).out
    )
    assert harness(*words, "--extend", "steps=9").document["cached"]
    assert harness(*words).document["run_id"] == parent["run_id"]
    # The command of its record, and a run that continues it.
    again = harness(*words, "--set", "training.steps=9", "--set", f"training.start=extension:{parent['run_id']}").document
    assert (again["run_id"], again["cached"]) == (found["run_id"], True)
    third = ("--set", f"training.start=extension:{found['run_id']}", "--set", "training.steps=12")
    assert harness(*words, *third).document["training"]["steps"] == 12


def test_epochs_are_the_whole_budget_too(harness: Command, store: Path) -> None:
    found = harness(*TINY, "--store", store, "--json", "--extend", "epochs=0.5").document
    assert found["training"]["steps"] == 8, "half of 64 sequences, 4 a step"


def test_what_cannot_be_extended_is_refused(harness: Command, store: Path) -> None:
    words = (*TINY, "--store", store)
    assert "was trained for 6 steps" in harness(*words, "--extend", "steps=6").error
    assert "name the whole budget: steps=5000" in harness(*words, "--extend", "9").error
    assert "without --extend first" in harness(*words, "--seed", "7", "--extend", "steps=9").error
    run_id = harness(*words, "--json").document["run_id"]
    changed = ("--set", "training.steps=9", "--set", f"training.start=extension:{run_id}", "--set", "training.clip_norm=2")
    assert "cannot be extended with other settings (training.clip_norm=2.0)" in harness(*words, *changed).error
    assert "--extend" in harness(*words, "--set", "training.start=extension").error
    key = json.loads((store / "runs" / run_id / "experiment.json").read_text())["training_key"]
    (store / "trainings" / key / "last.safetensors").unlink()
    answer = harness(*words, "--extend", "steps=9")
    assert (answer.code, "train it again with --force" in answer.error) == (2, True)
