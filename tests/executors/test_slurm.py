"""Cells as jobs of submitit: with its local executor, and with stand-ins for SLURM's commands."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cluster import LONG, SHORT, answer, cell_of, job, resources, scores, stop_in_mid_training, trained, wait_for
from commands import Command

from harness.errors import HarnessError, RequestError
from harness.executors import remote
from harness.executors.slurm import Slurm
from harness.store import Store

pytestmark = pytest.mark.timeout(240)  # starting processes takes long on a busy machine


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
