"""A plan's board is what the store has: finished, running, failed, killed; and `harness watch` writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from plan_cells import ssim, stub_runner, three_arms
from scipy import stats

from harness.errors import RequestError
from harness.store import Cell, Store
from harness.watching.board import Board, CellSeen, Reader, clock, find_plan


def at(board: Board, arm: str, seed: int) -> CellSeen:
    return board.arms[arm][seed]


def write_steps(store: Store, cell: Cell, step: int, seconds: float) -> None:
    folder = store.training(cell)
    folder.write("experiment.json", cell.record())
    folder.append("metrics.jsonl", {"step": step, "seconds": seconds, "loss": 0.1})


def test_finished_and_failed_cells(whole: Reader) -> None:
    board = whole.read()
    assert board.counts == {"finished": 8, "failed": 1}
    assert board.over
    assert at(board, "base", 2).value == ssim("base", 2)
    assert at(board, "attention", 1).reason == "it broke"
    assert board.summary == "8 of 9 cells finished, 1 failed"


def test_the_gain_so_far_is_the_paired_t_interval(whole: Reader) -> None:
    gains = {one.arm: one for one in whole.read().gains}
    for arm, seeds in (("attention", (0, 2)), ("residual", (0, 1, 2))):
        differences = np.array([ssim(arm, seed) - ssim("base", seed) for seed in seeds])
        low, high = stats.t.interval(0.95, len(seeds) - 1, differences.mean(), stats.sem(differences))
        found = gains[arm]
        assert (found.n, found.verdict) == (len(seeds), None)
        assert (found.mean, found.low, found.high) == pytest.approx((differences.mean(), low, high))


def test_a_cell_runs_while_its_lock_is_held_and_is_unfinished_afterwards(begun: tuple[Reader, dict]) -> None:
    reader, cells = begun
    store, cell = reader.store, cells["attention", 1]
    assert reader.read().counts == {"waiting": 9}
    steps = cell.experiment.training.steps
    assert steps is not None
    with store.own(store.training(cell)):
        write_steps(store, cell, steps // 4, 10.0)
        board = reader.read()
        running = at(board, "attention", 1)
        assert (running.status, running.done) == ("running", (steps // 4) / steps)
        assert running.seconds_left == pytest.approx(10 * (1 - running.done) / running.done)
        assert board.counts == {"running": 1, "waiting": 8}
        assert not board.over
    assert at(reader.read(), "attention", 1).status == "unfinished"


def test_a_lease_without_signs_of_life_is_no_running_cell(
    begun: tuple[Reader, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, cells = begun
    locks = reader.store.part("locks")
    locks.mkdir(parents=True)
    (locks / f"{cells['base', 0].training_key}.lease").write_text(
        '{"token": "x", "kernel": "another machine", "flock": true}'
    )
    now = [0.0]
    monkeypatch.setattr("harness.watching.board.time.monotonic", lambda: now[0])
    assert at(reader.read(), "base", 0).status == "running"
    now[0] = 61.0
    assert at(reader.read(), "base", 0).status == "waiting"


def test_the_time_left_counts_what_runs_and_what_waits() -> None:
    cells = (
        CellSeen("base", 0, "finished", seconds=100.0),
        CellSeen("slow", 0, "finished", seconds=300.0),
        CellSeen("base", 1, "running", seconds_left=40.0),
        CellSeen("slow", 1, "running", seconds_left=200.0),
        CellSeen("base", 2, "waiting"),
        CellSeen("slow", 2, "waiting"),
    )
    board = Board("p", "t", "q", "ssim", "base", cells, (), 0.0)
    assert board.seconds_left == pytest.approx((40 + 200 + 100 + 300) / 2)
    assert board.summary == "2 of 6 cells finished, 2 running, 2 waiting; about 5:20 left"
    assert clock(3723) == "1:02:03"


def test_a_damaged_result_is_shown_and_stops_nothing(whole: Reader) -> None:
    run_id = at(whole.read(), "residual", 0).run_id
    (whole.store.root / "runs" / str(run_id) / "result.json").write_text("{")
    fresh = Reader(whole.store, whole.name)
    assert "damaged" in str(at(fresh.read(), "residual", 0).reason)


def test_watch_writes_a_page_and_a_document(whole: Reader, tmp_path: Path, harness: Command) -> None:
    out = tmp_path / "page.html"
    assert harness("watch", "--store", tmp_path, "--out", out).code == 0
    assert "8 of 9 cells finished" in out.read_text()
    assert harness("watch", whole.name[:6], "--store", tmp_path, "--json").document["over"] is True
    assert "no plan whose name begins with 'zz'" in harness("watch", "zz", "--store", tmp_path).error
    with pytest.raises(RequestError, match="harness ablate"):
        find_plan(Store(tmp_path / "empty"), None)


def test_a_cell_that_shares_a_training_waits_for_it(tmp_path: Path) -> None:
    runner = stub_runner(tmp_path, replace(three_arms(), plan="base,tta", seeds=(0,)))
    runner.prepare()
    runner._save()
    store, cell = Store(tmp_path), runner.rows[0].cell
    assert cell is not None
    with store.own(store.training(cell)):
        write_steps(store, cell, 2, 10.0)
        board = Reader(store, runner.record_name).read()
    assert [one.status for one in board.cells] == ["running", "waiting"]
    assert board.seconds_left is not None
