"""Cells as Ray tasks: on an existing cluster, or on one that is started and ended on this machine.

Ray ships a task as a pickle, between processes that trust each other already: whoever can reach a cluster's ports can run code
on it. Nothing of the store is unpickled.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.executors.remote import STOPPED, Lost, Remote, RemoteTask, Submission, one_line
from harness.executors.resources import Resources
from harness.runs.job import Done

CONNECT_SECONDS = 5.0
PROBE_SECONDS = 30.0
OBJECTS_BYTES = 100 * 2**20
"""Memory for Ray's objects on a cluster of this machine: cells pass none, and Ray's default is a third of all memory."""
LOOK_SECONDS = 5.0
"""How often the cluster's nodes are counted."""


class Ray(Remote):
    """Runs every task in a Ray worker process of its own, with the CPUs and the GPU share of `resources`.

    Raises RequestError when Ray is not installed or no node can hold a cell, HarnessError when no cluster answers.
    """

    def __init__(self, resources: Resources, store: Path, note: Callable[[str], None], slots: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns that this will be its default
        try:
            import ray
        except ImportError:
            raise RequestError("--executor ray needs Ray; pip install 'ablation-harness[ray]'") from None
        self._ray: Any = ray
        self._resources, self._wanted = resources, slots
        self._looked, self._fits = -float("inf"), 1
        super().__init__(store, note)
        try:
            # Ray reports lost nodes on stdout, which belongs to the document of --json.
            self._closing.enter_context(contextlib.redirect_stdout(sys.stderr))
            self._connect()
            self._run = ray.remote(_run).options(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)
            self._fits = self._look()
            if not self._fits:
                raise RequestError(f"no node of the cluster has {self._cell} for a cell; they have {self._largest()}")
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        ray, address = self._ray, self._resources.ray_address
        if ray.is_initialized():
            return
        if address is not None and address != "auto":
            _probe(address)
        try:
            if address is None:  # with "local", RAY_ADDRESS cannot lead to another cluster
                quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
                ray.init("local", object_store_memory=OBJECTS_BYTES, **quiet)
            else:
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # ConnectionError, RuntimeError, ValueError, gRPC's
            what = "cannot start Ray here" if address is None else f"cannot join the Ray cluster at {address}"
            raise HarnessError(f"{what}: {one_line(error)}") from None
        self._closing.callback(ray.shutdown)

    @property
    def slots(self) -> int:
        """The number of workers given, else of cells that the nodes hold now. Notes when no node holds one."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            lacking, self._fits = self._fits == 0, self._look()
            if not self._fits and not lacking:
                self._note(f"no node of the cluster has {self._cell} now; waiting for one")
        return self._wanted or max(1, self._fits)

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _look(self) -> int:
        """How many cells the live nodes hold."""
        self._looked = time.monotonic()
        wanted = {"CPU": self._resources.cpus or 0, "GPU": self._resources.gpus}
        return sum(
            min(int(node.get(name, 0) / amount + 1e-9) for name, amount in wanted.items() if amount)
            for node in self._nodes()
        )

    @property
    def _cell(self) -> str:
        return f"{self._resources.cpus:g} CPUs and {self._resources.gpus:g} GPUs"

    def _largest(self) -> str:
        found = sorted({(node.get("GPU", 0), node.get("CPU", 0)) for node in self._nodes()}, reverse=True)
        have = ", ".join(f"{cpus:g} CPUs and {gpus:g} GPUs" for gpus, cpus in found[:4]) or "there is no node"
        return f"{have}; lower --cpus-per-cell or --gpus-per-cell, or start such a node"

    def _send(self, remote_task: RemoteTask) -> Any:
        return self._run.remote(remote_task)

    def _cancel(self, handle: Any) -> None:
        # Ray sends SIGINT to the worker, so that a training stops as it does on Ctrl-C: it saves and answers.
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.cancel(handle, recursive=False)

    def _ready(self, timeout: float) -> list[int]:
        tickets = {one.handle: ticket for ticket, one in self._submissions.items()}
        if self._ray.wait(list(tickets), num_returns=1, timeout=timeout)[0]:
            ready, _ = self._ray.wait(list(tickets), num_returns=len(tickets), timeout=0)
            return [tickets[handle] for handle in ready]
        return []

    def _answer(self, submission: Submission) -> Done:
        errors = self._ray.exceptions
        try:
            answer: Done = self._ray.get(submission.handle)
            return answer
        except errors.TaskCancelledError:
            return STOPPED
        except (errors.NodeDiedError, errors.LocalRayletDiedError) as error:
            raise Lost(f"a node of the cluster died ({_node(error)})") from None
        except errors.WorkerCrashedError:
            reason = "the process died; `ray logs` on its node may say why"
        except errors.OutOfMemoryError:
            reason = "Ray ended the process because its node ran out of memory; lower --workers or raise --cpus-per-cell"
        except errors.RayError as error:
            reason = one_line(error)
        return Done("", error=reason, stopped=submission.stopped)


def _run(remote_task: RemoteTask) -> Done:
    return remote_task()


def _node(error: BaseException) -> str:
    words = str(error).replace(",", " ").split()
    return words[words.index("IP:") + 1] if "IP:" in words[:-1] else "its address is unknown"


def _probe(address: str) -> None:
    """Checks in bounded time that a cluster answers: Ray takes minutes to give up. Raises HarnessError."""
    host, _, port = address.rpartition(":")
    hint = "start one with `ray start --head`, or name the address that it printed"
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise HarnessError(
            f"no Ray cluster answers at {address}: {getattr(error, 'strerror', None) or error}; {hint}"
        ) from None
    joins = [sys.executable, "-c", "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)", address]
    try:
        tried = subprocess.run(joins, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
        reason = one_line(RuntimeError(tried.stderr)) if tried.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"no answer in {PROBE_SECONDS:.0f} s"
    if reason:
        raise HarnessError(f"cannot join a Ray cluster at {address}: {reason}; {hint}")
