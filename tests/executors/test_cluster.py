"""Cells beyond this machine: on a real Ray cluster of two nodes, and as jobs of submitit."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from study_cells import StubCell

from harness.ablation.plan import Ablation
from harness.ablation.runner import Runner
from harness.errors import HarnessError, RequestError
from harness.executors import ray as on_ray
from harness.executors import remote
from harness.executors.processes import Processes
from harness.executors.protocol import Executor
from harness.executors.ray import Ray
from harness.executors.remote import VERSIONS, RemoteTask
from harness.executors.resources import Resources, resolve_resources
from harness.executors.slurm import Slurm
from harness.options import ExecutorOptions
from harness.registry import Variants
from harness.runs.job import Done, Job
from harness.runs.request import Request
from harness.store.store import Cell, Folder, Store

pytestmark = pytest.mark.timeout(240)  # on a machine that others use, starting processes takes its time

QUICK = {"training.validate_every": "16", "data.test_sequences": "2", "data.validation_sequences": "2"}
SHORT = Request(preset="tiny", settings=QUICK | {"training.steps": "16"})
LONG = Request(preset="tiny", settings=QUICK | {"training.steps": "96"})
CRASHING = '''
import os, signal
from dataclasses import dataclass
from typing import ClassVar
from harness.variant import Variant

@dataclass(frozen=True)
class Crash:
    """Kills its own process, as the kernel does when memory runs out."""

    slot: ClassVar[str] = "training.curriculum"

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


def resources(executor: str = "processes", device: str = "auto", **words: Any) -> Resources:
    return resolve_resources(ExecutorOptions(executor=executor, **words), device)


def job(store: Path, request: Request = SHORT, **changes: Any) -> Job:
    """A training of `base` that leaves the test data alone."""
    given: dict[str, Any] = {"variant": "base", "seed": 0, "threads": 1, "quiet": True, "evaluate": False}
    return Job(request=request, store=store, **(given | changes))


def cell_of(task: Job) -> Cell:
    return task.request.cell(Variants(files=task.plugins), task.variant, task.seed)[0]


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.02)


def answer(executor: Executor, task: Any, then: Callable[[int], None] = lambda ticket: None) -> Done:
    ticket = executor.submit(task)
    then(ticket)
    ends = time.monotonic() + 150
    while not (found := executor.done(1.0)):
        assert time.monotonic() < ends, "no answer"
    assert [one for one, _ in found] == [ticket]
    return found[0][1]


def trained(store: Path) -> dict[str, str]:
    """Every finished training of a store and the digest of its weights."""
    return {
        path.parent.name: Folder(path.parent).read(path.name)["checkpoint_sha256"]
        for path in store.glob("trainings/*/training.json")
    }


def scores(store: Path) -> dict[str, Any]:
    return {path.parent.name: Folder(path.parent).read(path.name)["metrics"] for path in store.glob("runs/*/result.json")}


def stop_in_mid_training(executor: Executor, task: Job) -> None:
    """It saves its state and says so."""
    folder = Store(task.store).training(cell_of(task)).path

    def stop(ticket: int) -> None:
        wait_for((folder / "metrics.jsonl").exists)
        executor.stop(ticket)

    stopped = answer(executor, task, stop)
    assert stopped.stopped
    assert "the state is saved" in str(stopped.error)
    assert (folder / "last.safetensors").exists()
    assert not (folder / "training.json").exists()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the long training ends with when it is left alone, in this process."""
    task = job(tmp_path_factory.mktemp("undisturbed"), LONG)
    assert task.run().error is None
    return trained(task.store)


# --- Ray ---


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
def notes() -> list[str]:
    return []


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


@pytest.mark.parametrize(("executor", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_what_is_not_installed_is_named(
    executor: str, module: str, harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    found = harness("ablate", "--preset", "tiny", "--plan", "base", "--executor", executor, "--store", tmp_path)
    assert found.code == 2
    assert f"pip install 'ablation-harness[{executor}]'" in found.error


# --- what another machine must share ---


def remote_task(tmp_path: Path, **changes: Any) -> RemoteTask:
    mark = tmp_path / "store" / "locks" / "executor-x"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    task = StubCell("stub", 0.5, 0, tmp_path)
    return replace(RemoteTask(task, os.getcwd(), mark, VERSIONS, ()), **changes)


def test_a_machine_that_shares_all_runs_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert remote_task(tmp_path)() == Done("stub")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"versions": ("0.0.1", 77)}, "but version 0.0.1, numerics 77 is needed"),
        ({"folder": "/nowhere/at/all"}, "cannot enter the folder /nowhere/at/all"),
        ({"mark": Path("/nowhere/store/locks/executor-x")}, "does not see the store /nowhere/store"),
    ],
)
def test_a_machine_that_does_not_answers_with_an_error_and_trains_nothing(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    done = remote_task(tmp_path, **change)()
    assert complaint in str(done.error)
    assert done.run_id == ""
    assert not (tmp_path / "stub").exists()


class Losing(remote.Remote):
    """Loses every machine."""

    slots = 1
    sent = 0

    def _send(self, remote_task: RemoteTask) -> Any:
        self.sent += 1

    def _cancel(self, handle: Any) -> None: ...

    def _ready(self, timeout: float) -> list[int]:
        return list(self._submissions)

    def _answer(self, submission: remote.Submission) -> Done:
        if self.sent % 2:  # a job that is preempted, a node that is drained
            return remote.STOPPED
        raise remote.Lost("a node died")


def test_a_task_whose_machines_die_or_tell_it_to_stop_is_sent_again_and_an_error_in_the_end(
    tmp_path: Path, notes: list[str]
) -> None:
    with closing(Losing(tmp_path, notes.append)) as executor:
        executor.submit(StubCell("stub", 0.5, 0, tmp_path))
        answers: list[Any] = []
        wait_for(lambda: answers.extend(executor.done(0)) or answers)
    assert answers[0][1].error == f"a node died, for the {remote.LOSSES + 1}th time"
    assert sum("told to stop by its machine" in note for note in notes) == 3
    assert executor.sent == len(notes) + 1 == remote.LOSSES + 1


# --- SLURM ---


@pytest.fixture
def as_jobs(tmp_path: Path, notes: list[str]) -> Iterator[Slurm]:
    with closing(Slurm(resources("slurm", slurm="cluster=local"), tmp_path / "store", notes.append, 2)) as executor:
        yield executor


@pytest.mark.slow
def test_a_job_saves_its_state_when_told_to_stop_and_its_pickles_are_the_users_alone(as_jobs: Slurm, tmp_path: Path) -> None:
    (folder,) = (tmp_path / "store" / "jobs").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    stop_in_mid_training(as_jobs, job(tmp_path / "store", LONG))
    as_jobs.close()
    assert not folder.exists()


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.slow
def test_a_job_that_meets_its_time_limit_is_queued_again_and_goes_on(
    as_jobs: Slurm, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    task = job(tmp_path / "store", LONG)
    folder = Store(task.store).training(cell_of(task)).path

    def meet_the_limit(ticket: int) -> None:
        wait_for((folder / "last.safetensors").exists)
        (process,) = children(children(os.getpid())[-1])
        os.kill(process, signal.SIGUSR2)  # what SLURM sends, as submitit asks it to

    done = answer(as_jobs, task, meet_the_limit)
    assert (done.error, done.resumed) == (None, True)
    assert trained(task.store) == undisturbed


@pytest.mark.slow
def test_an_ablation_and_a_study_as_jobs_give_what_they_give_here(tmp_path: Path, harness: Command, quick: None) -> None:
    store, words = tmp_path / "store", ["--preset", "tiny", "--no-plugins", "--json"]
    words += [word for path, value in SHORT.settings.items() for word in ("--set", f"{path}={value}")]  # type: ignore[union-attr]
    there = [*words, "--store", store, "--executor", "slurm", "--slurm", "cluster=local", "--workers", 2]
    ablated = harness("ablate", "--plan", "base", "--seeds", 1, *there)
    assert [cell["status"] for cell in ablated.document["cells"]] == ["finished"]
    studied = harness("study", "loss-weights", "--trials", 2, *there)
    assert [trial["state"] for trial in studied.document["trials"]] == ["COMPLETE"] * 2 + ["WAITING"]  # the third arm
    assert not list((store / "jobs").iterdir())

    for cell in ablated.document["cells"]:
        assert job(tmp_path / "here", variant=cell["variant"], evaluate=True).run().run_id == cell["run_id"]
    assert scores(tmp_path / "here") == scores(store)
    assert trained(tmp_path / "here").items() <= trained(store).items()


SBATCH = """#!/bin/sh
cp "$1" {folder}/script; echo "Submitted batch job 4711"
"""
SACCT = """#!/bin/sh
echo "JobID|State|NodeList"; echo "4711|$(cat {folder}/state)|n1"
"""
SCANCEL = """#!/bin/sh
echo "$@" >> {folder}/cancelled; echo CANCELLED > {folder}/state
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SLURM's commands, as far as they are called: a job is queued, and cancelled."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", "#!/bin/sh\n"), ("sacct", SACCT), ("scancel", SCANCEL)):
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    (folder / "state").write_text("PENDING\n")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("submitit.SlurmJob.watcher", type(__import__("submitit").SlurmJob.watcher)())
    return folder


def test_sbatch_is_asked_for_what_was_asked_for_and_a_queued_job_can_be_stopped(slurm: Path, tmp_path: Path) -> None:
    where = resources("slurm", cpus=4, device="cuda", slurm="partition=gpu,time=90,account=lab")
    with closing(Slurm(where, tmp_path / "store", print, 8)) as executor:
        stopped = answer(executor, job(tmp_path / "store"), executor.stop)
    assert stopped.stopped
    script = (slurm / "script").read_text()
    for flag in ("partition=gpu", "time=90", "account=lab", "cpus-per-task=4", "gpus-per-node=1", "signal=USR2@90"):
        assert f"#SBATCH --{flag}" in script
    assert (slurm / "cancelled").read_text().splitlines() == ["--state=PENDING 4711", "--signal=TERM 4711"]


def test_a_job_whose_node_failed_is_submitted_again(
    slurm: Path, tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submitit.SlurmJob._results_timeout_s", 0)
    (slurm / "state").write_text("NODE_FAIL\n")
    with closing(Slurm(resources("slurm"), tmp_path / "store", notes.append, 8)) as executor:
        done = answer(executor, job(tmp_path / "store"))
    assert "job 4711 ended as NODE_FAIL, for the 6th time" in str(done.error)
    assert len(notes) == remote.LOSSES


def test_sbatch_that_refuses_says_why(slurm: Path, tmp_path: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: gqu' >&2; exit 1\n")
    with (
        closing(Slurm(resources("slurm", slurm="partition=gqu"), tmp_path / "store", print, 8)) as executor,
        pytest.raises(HarnessError, match=r"sbatch refused the job: .*invalid partition specified: gqu"),
    ):
        executor.submit(job(tmp_path / "store"))


def test_slurm_without_sbatch_is_refused(tmp_path: Path, harness: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = harness("study", "loss-weights", "--preset", "tiny", "--executor", "slurm", "--store", tmp_path / "store")
    assert found.code == 2
    assert "sbatch, which is not on the PATH" in found.error


def test_a_parameter_that_sbatch_does_not_know_is_refused(slurm: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--slurm: Unavailable parameter\(s\): \['partitoin'\]; it takes partition"):
        Slurm(resources("slurm", slurm="partitoin=gpu"), tmp_path / "store", print, 8)


# --- words that do not fit together ---


@pytest.mark.parametrize(
    ("executor", "words", "complaint"),
    [
        ("rya", {}, "unknown executor 'rya'; did you mean 'ray'"),
        ("processes", {"workers": 0}, "--workers 0"),
        ("processes", {"gpus": 0.5}, "--gpus-per-cell is for --executor ray or slurm"),
        ("processes", {"ray_address": "auto"}, "--ray-address is for --executor ray"),
        ("ray", {"slurm": "time=3"}, "--slurm is for --executor slurm"),
        ("ray", {"gpus": 2}, "a cell trains on one GPU"),
        ("ray", {"gpus": 0, "device": "cuda"}, "exclude each other"),
        ("ray", {"gpus": 1, "device": "cpu"}, "exclude each other"),
        ("ray", {"device": "cuda:1"}, "use --device cuda"),
        ("ray", {"cpus": 0}, "--cpus-per-cell 0"),
        ("ray", {"cpus": 1.5}, "--cpus-per-cell 1.5"),
        ("ray", {"ray_address": "ray://head:10001"}, "(ray://) are not supported"),
        ("ray", {"ray_address": "head"}, "write HOST:PORT"),
        ("slurm", {"gpus": 0.5}, "SLURM allocates whole CPUs and GPUs"),
        ("slurm", {"slurm": "partition"}, "write name=value"),
        ("slurm", {"slurm": "time=1,time=2"}, "each name once"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(executor: str, words: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RequestError) as found:
        resources(executor, **words)
    assert complaint in str(found.value)


def test_a_cell_on_a_clusters_gpu_needs_none_here() -> None:
    for words in ({"device": "cuda"}, {"gpus": 1}, {"gpus": 0.25}):
        where = resources("ray", **words)
        assert (where.device, where.gpus) == ("cuda", words.get("gpus", 1))
    assert resources("ray", device="cpu").gpus == 0
    assert (
        resources("ray", cpus=0.5).threads,
        resources("slurm", cpus=4).threads,
        resources().threads,
    ) == (1, 4, 0)


def test_precision_must_be_said_where_no_gpu_can_be_asked(harness: Command, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("the precision is this machine's GPU's")
    words = ["ablate", "--plan", "base", "--preset", "tiny", "--executor", "ray", "--gpus-per-cell", 1, "--store", tmp_path]
    words += ["--set", "training.precision=auto"]
    assert "--set training.precision=bfloat16" in harness(*words).error
