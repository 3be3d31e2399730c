"""A job is plain values, and whatever happens to it is an answer."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from harness.errors import Interrupted
from harness.options import RunOptions
from harness.runs.job import Done, Job
from harness.runs.request import Request

REQUEST = Request(preset="tiny")


def job(store: Path, variant: str = "base") -> Job:
    return Job(request=REQUEST, variant=variant, seed=0, store=store, options=RunOptions(no_graphs=True, save_every=5))


def test_a_job_can_be_sent_to_another_process(tmp_path: Path) -> None:
    assert pickle.loads(pickle.dumps(job(tmp_path))) == job(tmp_path)  # noqa: S301


def test_a_request_that_is_wrong_is_an_answer(tmp_path: Path) -> None:
    assert "unknown variant 'bse'" in str(job(tmp_path, "bse").run().error)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Interrupted("saved"), ("saved", True)),
        (KeyboardInterrupt(), ("interrupted", True)),
        (ZeroDivisionError("of a variant"), ("ZeroDivisionError: of a variant", False)),
    ],
)
def test_what_a_cell_raises_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, answer: tuple[str, bool]
) -> None:
    def raises(*given: object) -> None:
        raise error

    monkeypatch.setattr("harness.runs.cell.run_cell", raises)
    done: Done = job(tmp_path).run()
    assert (done.error, done.stopped) == answer
    assert len(done.run_id) == 16
