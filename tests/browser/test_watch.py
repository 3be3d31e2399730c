"""The page of a running plan in a real browser: it renews itself, served or as a file, and says what a kill left."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from browsing import PHONE, Open, until
from plan_cells import StubRunner, stub_runner

from harness.ablation.plan import Ablation
from harness.runs.request import Request
from harness.store import Store
from harness.watching.board import Reader
from harness.watching.follow import write_page
from harness.watching.server import make_server

pytestmark = pytest.mark.browser

SAID = "document.querySelector('[role=status]').textContent"


@pytest.fixture
def runner(tmp_path: Path) -> StubRunner:
    """A plan of four cells that has begun: its record is there, no cell is."""
    plan = Ablation(plan="base,attention", variants=(), seeds=(0, 1), request=Request(preset="tiny"), retries=0)
    made = stub_runner(tmp_path, plan)
    made.prepare()
    made._save()
    return made


@pytest.fixture
def reader(runner: StubRunner, tmp_path: Path) -> Reader:
    return Reader(Store(tmp_path), runner.record_name)


def test_the_served_page_renews_itself_until_the_plan_is_over(runner: StubRunner, reader: Reader, visit: Open) -> None:
    with make_server(reader, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab = visit(f"http://localhost:{server.server_address[1]}/")
        assert tab.locator("[role=status]").inner_text().startswith("0 of 4 cells finished")
        runner.run()
        until(tab, f"{SAID}.startsWith('4 of 4 cells finished')")
        assert tab.locator("td.finished").count() == 4
        server.shutdown()


def test_the_file_renews_itself_and_says_what_a_kill_left(
    runner: StubRunner, reader: Reader, visit: Open, tmp_path: Path
) -> None:
    out, store = tmp_path / "watch.html", reader.store
    (cell, *_) = (row.cell for row in runner.rows if row.cell is not None)
    training = store.training(cell)
    with store.own(training):  # as a training holds it; the lock is free once its process is killed
        training.write("experiment.json", cell.record())
        training.append("metrics.jsonl", {"step": 2, "seconds": 10.0, "loss": 0.1})
        write_page(reader.read, out)
        tab = visit(out.as_uri(), viewport=PHONE)
        assert "1 running" in tab.locator("[role=status]").inner_text()
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    write_page(reader.read, out)
    until(tab, f"{SAID}.includes('1 unfinished')")
    runner.run()
    write_page(reader.read, out)
    until(tab, f"{SAID}.startsWith('4 of 4')")
