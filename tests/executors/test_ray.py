"""Cells on a real Ray cluster of two nodes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster import LONG, SHORT, answer, cell_of, job, resources, scores, stop_in_mid_training, trained, wait_for
from study_cells import StubCell

from harness.ablation.plan import Ablation
from harness.ablation.runner import Runner
from harness.errors import HarnessError, RequestError
from harness.executors import ray as on_ray
from harness.executors.processes import Processes
from harness.executors.ray import Ray
from harness.runs.job import Done
from harness.store import Folder, Store

pytestmark = pytest.mark.timeout(240)  # starting processes takes long on a busy machine
CRASHING = '''
import os, signal
from dataclasses import dataclass
from typing import ClassVar
from harness.component import Component
from harness.variant import Variant

@dataclass(frozen=True)
class Crash(Component):
    """Kills its own process, as the kernel does when memory runs out."""

    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "crash"

    def horizon(self, progress, full):
        os.kill(os.getpid(), signal.SIGKILL)

CRASH = Variant(name="crash", summary="dies", source="this test", changes={"training.curriculum": Crash()})
'''


AT_ONCE = """
import os
from harness.evaluation import cost as measure
from harness.variant import Variant

if os.getpid() != {here}:  # speed is measured for an instant, in the processes that load this file for a cell
    whole = measure.median_seconds
    measure.median_seconds = lambda once, seconds, **options: whole(once, 0.0, at_least=1)

PLAIN = Variant(name="plain", summary="base by another name", source="this test", changes={{"training.patience": 9}})
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of two nodes with one CPU each, which this process has joined through the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")  # other programs on this machine decide nothing here
        patch.setenv("OMP_NUM_THREADS", "1")
        import ray
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        made.add_node(num_cpus=1)
        made.wait_for_nodes()
        ray.init(made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def on_cluster(cluster: Any, tmp_path: Path, notes: list[str]) -> Iterator[Ray]:
    with closing(Ray(resources("ray"), tmp_path / "store", notes.append, 0)) as executor:
        yield executor


def test_a_cluster_holds_as_many_cells_as_its_nodes_have_room_for(cluster: Any, tmp_path: Path) -> None:
    for words, slots in (({}, 2), ({"cpus": 0.5}, 4), ({"workers": 7}, 7)):
        where = resources("ray", **words)
        with closing(Ray(where, tmp_path, print, where.workers)) as executor:
            assert executor.slots == slots


def test_a_cluster_that_can_hold_no_cell_any_more_says_so_once(
    on_cluster: Ray, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "LOOK_SECONDS", 0.0)
    with monkeypatch.context() as gone:
        gone.setattr(Ray, "_nodes", lambda self: [{"CPU": 0.5}])
        assert [on_cluster.slots for _ in range(3)] == [1] * 3
    assert notes == ["no node of the cluster has 1 CPUs and 0 GPUs now; waiting for one"]
    assert on_cluster.slots == 2


@pytest.mark.parametrize(("words", "lacks"), [({"cpus": 2}, "2 CPUs and 0 GPUs"), ({"gpus": 0.5}, "1 CPUs and 0.5 GPUs")])
def test_what_no_node_has_is_refused_instead_of_waited_for(
    cluster: Any, tmp_path: Path, words: dict[str, Any], lacks: str
) -> None:
    with pytest.raises(RequestError, match=rf"no node of the cluster has {lacks}.*they have 1 CPUs and 0 GPUs"):
        Ray(resources("ray", **words), tmp_path, print, 0)
    assert not list(tmp_path.glob("locks/*"))


@pytest.mark.slow
def test_a_training_on_ray_stops_and_goes_on(on_cluster: Ray, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    task = job(tmp_path / "store", LONG)
    stop_in_mid_training(on_cluster, task)
    again = answer(on_cluster, task)
    assert (again.error, again.resumed, again.run_id) == (None, True, cell_of(task).run_id)
    assert trained(task.store) == undisturbed


def test_a_task_that_waits_for_a_slot_is_stopped_at_once(on_cluster: Ray, tmp_path: Path) -> None:
    stubs = [StubCell(f"stub{seed}", 0.5, seed, tmp_path, seconds=1.0) for seed in range(3)]
    tickets = [on_cluster.submit(stub) for stub in stubs]
    on_cluster.stop(tickets[2])
    answers: dict[int, Done] = {}
    wait_for(lambda: answers.update(on_cluster.done(0.2)) or len(answers) == 3)
    assert [answers[ticket].stopped for ticket in tickets] == [False, False, True]


def test_a_process_that_dies_is_an_answer_and_loads_plugin_files_itself(on_cluster: Ray, tmp_path: Path) -> None:
    plugin = tmp_path / "crash.py"
    plugin.write_text(CRASHING)
    died = answer(on_cluster, job(tmp_path / "store", variant="crash", plugins=(plugin,)))
    assert (died.run_id, died.stopped) == ("", False)
    assert "the process died" in str(died.error)


@pytest.mark.slow
def test_a_study_on_ray_finds_what_one_here_finds(cluster: Any, tmp_path: Path) -> None:
    """As a user's own command: it joins by the address, and stdout has the document alone."""
    settings = [word for path, value in SHORT.settings.items() for word in ("--set", f"{path}={value}")]  # type: ignore[union-attr]
    words = ["study", "loss-weights", "--preset", "tiny", "--trials", "3", *settings, "--json", "--no-plugins"]
    words += ["--store", str(tmp_path / "store"), "--executor", "ray", "--ray-address", cluster.address]
    command = [sys.executable, "-m", "harness.cli.app", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [trial["state"] for trial in document["trials"]] == ["COMPLETE"] * 3
    assert not list((tmp_path / "store").glob("locks/executor-*"))
    arm = next(arm for arm in document["arms"] if arm["name"] == "MSE only")
    here = job(tmp_path / "here", replace(SHORT, settings=dict(SHORT.settings or {}) | arm["settings"]))
    assert here.run().error is None
    assert Store(here.store).training(cell_of(here)).read("training.json")["validation_ssim"] == arm["value"]


@pytest.mark.slow
def test_a_node_killed_under_load_changes_no_result(
    cluster: Any, tmp_path: Path, notes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "plain.py"
    plugin.write_text(AT_ONCE.format(here=os.getpid()))
    asked: dict[str, Any] = {"variants": (), "seeds": (0,), "request": LONG, "threads": 1, "plugins": (plugin,)}
    plan = Ablation(plan="base,residual,plain", workers=2, retries=0, **asked)
    store = tmp_path / "store"
    second = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)

    def folders(name: str) -> set[Path]:
        return {path.parent for path in store.glob(f"trainings/*/{name}")}

    def kill() -> None:
        wait_for(lambda: len(folders("last.safetensors") - folders("training.json")) == 2)  # one under way on each node
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    rows = Runner(plan, Store(store), notes.append, lambda slots: Ray(resources("ray"), store, notes.append, slots)).run()
    killer.join()
    assert capsys.readouterr().out == ""  # what Ray prints of it must not reach the document of --json
    assert [row.status for row in rows] == ["finished"] * 3
    assert any(
        "a node of the cluster died" in note and "continues elsewhere from its last checkpoint" in note for note in notes
    )
    for folder in folders("metrics.jsonl"):  # the first checkpoint is that of step 16: none started again
        assert [line["step"] for line in Folder(folder).lines("metrics.jsonl")].count(10) == 1
    assert [row.attempts for row in rows] == [1] * 3  # the loss of a node is no attempt of the cell's

    here = tmp_path / "here"
    Runner(replace(plan, workers=1), Store(here), notes.append, Processes).run()
    assert trained(store) == trained(here)
    assert scores(store) == scores(here)
    assert len(scores(store)) == 3


# --- a cluster that is not there ---


def test_an_address_where_nothing_answers_is_told_in_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
    with pytest.raises(HarnessError, match=rf"no Ray cluster answers at 127.0.0.1:{nobody}: .*refused"):
        Ray(resources("ray", ray_address=f"127.0.0.1:{nobody}"), tmp_path, print, 0)
    monkeypatch.setattr(on_ray, "PROBE_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(HarnessError, match=f"cannot join a Ray cluster at {address}: no answer in 2 s"):
            Ray(resources("ray", ray_address=address), tmp_path, print, 0)
