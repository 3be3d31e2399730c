"""A plan's board is what the store has: finished, running, failed, killed; and the page and the table show it."""

from __future__ import annotations

import http.client
import io
import json
import re
import threading
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from plan_cells import ssim, stub_runner
from rich.console import Console
from scipy import stats

from harness.ablation.plan import Ablation
from harness.errors import RequestError
from harness.runs.request import Request
from harness.store import Cell, Store
from harness.watching.board import Board, CellSeen, Reader, clock, find_plan
from harness.watching.page import page
from harness.watching.server import make_server
from harness.watching.table import Drawn

SEEDS = (0, 1, 2)
HOSTILE = "<script>alert(1)</script>\x1b[2J"


def plan() -> Ablation:
    return Ablation(plan="base,attention,residual", variants=(), seeds=SEEDS, request=Request(preset="tiny"), retries=0)


def broken(variant: str, seed: int) -> float | None:
    """Attention at seed 1 fails; the third seed of residual is not there yet."""
    return None if (variant, seed) == ("attention", 1) else ssim(variant, seed)


@pytest.fixture
def whole(tmp_path: Path) -> Reader:
    """A plan run to its end, with one failure."""
    runner = stub_runner(tmp_path, plan(), value=broken)
    runner.run()
    return Reader(Store(tmp_path), runner.record_name)


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Reader, dict[tuple[str, int], Cell]]:
    """A plan whose record is there and whose cells are not."""
    runner = stub_runner(tmp_path, plan())
    runner.prepare()
    runner._save()
    cells = {(row.planned.label, row.planned.seed): row.cell for row in runner.rows if row.cell is not None}
    return Reader(Store(tmp_path), runner.record_name), cells


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
    for arm, seeds in (("attention", (0, 2)), ("residual", SEEDS)):
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


class Outline(HTMLParser):
    """What a page loads, its scripts, and the text of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.rows: list[list[str]] = []
        self.refresh = False
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [str(given[name]) for name in ("src", "href") if name in given]
        self.refresh |= tag == "meta" and given.get("http-equiv") == "refresh"
        self.scripts += tag == "script"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def outline(board: Board) -> Outline:
    parser = Outline()
    parser.feed(page(board))
    return parser


def test_the_page_shows_the_board_and_loads_nothing(whole: Reader) -> None:
    found = outline(whole.read())
    assert found.loads == ["data:,"]  # no icon is asked for
    assert not found.refresh
    assert [row[0] for row in found.rows] == ["arm", "base", "attention", "residual"]
    assert found.rows[1][3:] == [f"{ssim('base', seed):.4f}" for seed in SEEDS]
    assert found.rows[2][4] == "failed"


def test_the_page_refreshes_until_the_plan_is_over_and_takes_names_for_text() -> None:
    board = Board("p", HOSTILE, HOSTILE, "ssim", "base", (CellSeen(HOSTILE, 0, "failed", reason=HOSTILE),), (), 0.0)
    assert outline(board).scripts == 1  # its own
    assert "\x1b" not in page(board)
    assert outline(Board("p", "t", "q", "ssim", "base", (CellSeen("base", 0, "waiting"),), (), 0.0)).refresh


def test_the_server_answers_localhost_alone(whole: Reader) -> None:
    with make_server(whole, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def get(path: str, host: str = "localhost") -> tuple[int, str]:
            client = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
            client.request("GET", path, headers={"Host": f"{host}:{server.server_address[1]}"})
            answer = client.getresponse()
            return answer.status, answer.read().decode()

        assert get("/")[1].startswith("<!doctype html>")
        assert json.loads(get("/board.json")[1])["counts"] == {"finished": 8, "failed": 1}
        assert get("/../secrets")[0] == 404
        assert get("/", "evil.example")[0] == 403
        with pytest.raises(RequestError, match="in use"):
            make_server(whole, server.server_address[1])
        server.shutdown()


def test_watch_writes_a_page_and_a_document(whole: Reader, tmp_path: Path, harness: Command) -> None:
    out = tmp_path / "page.html"
    assert harness("watch", "--store", tmp_path, "--out", out).code == 0
    assert "8 of 9 cells finished" in out.read_text()
    assert harness("watch", whole.name[:6], "--store", tmp_path, "--json").document["over"] is True
    assert "no plan whose name begins with 'zz'" in harness("watch", "zz", "--store", tmp_path).error
    with pytest.raises(RequestError, match="harness ablate"):
        find_plan(Store(tmp_path / "empty"), None)


def test_a_cell_that_shares_a_training_waits_for_it(tmp_path: Path) -> None:
    runner = stub_runner(tmp_path, replace(plan(), plan="base,tta", seeds=(0,)))
    runner.prepare()
    runner._save()
    store, cell = Store(tmp_path), runner.rows[0].cell
    assert cell is not None
    with store.own(store.training(cell)):
        write_steps(store, cell, 2, 10.0)
        board = Reader(store, runner.record_name).read()
    assert [one.status for one in board.cells] == ["running", "waiting"]
    assert board.seconds_left is not None


def test_a_narrow_terminal_shows_counts_instead_of_squeezing_names(whole: Reader) -> None:
    def drawn(width: int) -> str:
        console = Console(width=width, file=io.StringIO())
        console.print(Drawn(whole.read()))
        return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO

    arms = list(whole.read().arms)
    wide, narrow = drawn(120), drawn(56)
    assert "seed 0" in wide
    assert "seed 0" not in narrow
    assert "finished" in narrow
    assert all(re.search(rf"^ {re.escape(arm)} ", text, re.MULTILINE) for arm in arms for text in (wide, narrow))
