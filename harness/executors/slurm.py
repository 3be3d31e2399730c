"""Cells as SLURM jobs, through submitit.

submitit writes a job and its answer as pickles. They are this program's messages to itself, in a folder of the store that is
made for one command, is open to its user alone (0700), and is removed when no job failed. Nothing else is unpickled.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.executors.remote import STOPPED, Lost, Remote, RemoteTask, Submission, one_line
from harness.executors.resources import Resources
from harness.runs.job import Done
from harness.store import Store

FOLDER = "jobs"
POLL_SECONDS = 0.5
ASK_SECONDS = 5.0
"""How often to ask SLURM's accounting when jobs are about to end; submitit itself asks less and less often."""
MINUTES = 60
TIMEOUTS = 20
"""How often to queue a job again that reaches its time limit."""
LOST = ("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED")


class Requeued(RemoteTask):
    """A task that submitit queues again when its job is preempted or near its time limit; the checkpoint is in the store."""

    def __call__(self) -> Done:
        """Runs the task. SIGTERM ends it at once, except in a training, which saves its state first."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return super().__call__()

    def checkpoint(self) -> Any:
        """What submitit queues again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Slurm(Remote):
    """Runs every task as a job. `--slurm cluster=local` runs the same jobs as processes on this machine.

    Raises RequestError when submitit or SLURM is not installed, or a parameter is unknown.
    """

    def __init__(self, resources: Resources, store: Path, note: Callable[[str], None], slots: int) -> None:
        try:
            import submitit
        except ImportError:
            raise RequestError("--executor slurm needs submitit; pip install 'ablation-harness[slurm]'") from None
        given = dict(resources.slurm)
        self._local = given.pop("cluster", "slurm") == "local"
        self._slots, self._asked = slots, 0.0
        if not self._local and shutil.which("sbatch") is None:
            raise RequestError(
                "--executor slurm needs SLURM's sbatch, which is not on the PATH; run this on a login node, or try it here with "
                "--slurm cluster=local"
            )
        folder = Store(store).part(FOLDER)
        super().__init__(store, note)
        folder.mkdir(exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(dir=folder.absolute()))
        self._failed = False
        self._closing.callback(self._tidy)
        try:
            if self._local:
                self._executor: Any = submitit.LocalExecutor(self._folder, max_num_timeout=TIMEOUTS)
                self._executor.update_parameters(timeout_min=given.get("time", MINUTES), gpus_per_node=int(resources.gpus))
            else:
                self._executor = submitit.SlurmExecutor(self._folder, max_num_timeout=TIMEOUTS)
                parameters = {"cpus_per_task": int(resources.cpus or 1), "time": MINUTES, "job_name": "harness"}
                if resources.gpus:
                    parameters["gpus_per_node"] = int(resources.gpus)
                self._executor.update_parameters(**(parameters | given))
        except (ValueError, TypeError, RuntimeError) as error:
            self.close()
            names = "partition, time (minutes), account, qos, constraint, mem and others of submitit's SlurmExecutor"
            raise RequestError(f"--slurm: {str(error).splitlines()[0]}; it takes {names}, and cluster=local") from None

    @property
    def slots(self) -> int:
        """How many jobs are queued or running at the same time."""
        return self._slots

    def _send(self, remote_task: RemoteTask) -> Any:
        from submitit.core.utils import FailedJobError

        try:
            return self._executor.submit(Requeued(**vars(remote_task)))
        except (FailedJobError, OSError, subprocess.SubprocessError) as error:
            raise HarnessError(f"sbatch refused the job: {one_line(error)}") from None

    def _cancel(self, handle: Any) -> None:
        if self._local:  # submitit would kill the job a second later
            if not handle.done():
                os.kill(int(handle.job_id), signal.SIGTERM)
            return
        # A running job gets SIGTERM alone: SLURM would kill it after a grace period, and saving may take longer.
        subprocess.run(["scancel", "--state=PENDING", handle.job_id], check=False, capture_output=True)
        subprocess.run(["scancel", "--signal=TERM", handle.job_id], check=False, capture_output=True)

    def _ready(self, timeout: float) -> list[int]:
        ends = time.monotonic() + timeout
        while True:
            ask = any(one.stopped for one in self._submissions.values()) and time.monotonic() - self._asked > ASK_SECONDS
            ready = []
            for ticket, one in self._submissions.items():
                if one.handle.done(force_check=ask):  # one query answers for all jobs
                    ready.append(ticket)
                if ask:
                    ask, self._asked = False, time.monotonic()
            if ready or (left := ends - time.monotonic()) <= 0:
                return ready
            time.sleep(min(left, POLL_SECONDS))

    def _answer(self, submission: Submission) -> Done:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        job = submission.handle
        if submission.stopped and not job.paths.result_pickle.exists():
            return STOPPED
        try:
            answer: Done = job.result()
            return answer
        except (UncompletedJobError, FailedJobError) as error:
            state = str(job.state)
            if state.startswith(LOST):
                raise Lost(f"job {job.job_id} ended as {state}") from None
            self._failed = True
            reason = f"job {job.job_id} ended without an answer ({state}): {one_line(error)}; see {job.paths.stderr}"
            return Done("", error=reason, stopped=submission.stopped)

    def _tidy(self) -> None:
        if not self._failed and not self._submissions:
            shutil.rmtree(self._folder, ignore_errors=True)
