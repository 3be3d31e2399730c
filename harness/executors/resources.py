"""From the user's options to an executor: which one, and the workers, CPUs and GPUs of a cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import RequestError, unknown
from harness.executors.protocol import Executors
from harness.options import ExecutorOptions
from harness.system.devices import choose_device

EXECUTORS = {
    "processes": "harness.executors.processes:Processes",
    "ray": "harness.executors.ray:Ray",
    "slurm": "harness.executors.slurm:Slurm",
}
"""Every executor by name; imported when it is used."""
QUEUED = 8
"""Default number of SLURM jobs at the same time: a study with all its trials under way would learn nothing."""
_ADDRESS = re.compile(r"auto|(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Where cells run, and what each is given. Made by `resolve_resources`.

    Args:
        workers: cells at the same time; 0 for as many as the cluster holds (Ray).
        cpus: CPUs per cell; None for an equal share of this machine (processes).
        gpus: GPUs per cell, 0..1; cells share one with a fraction (Ray).
        device: where a cell trains: 'cpu', 'cuda' or, on this machine, 'cuda:N'.
        slurm: submitit's parameters for sbatch (partition, time, ...).
    """

    executor: str = "processes"
    workers: int = 1
    cpus: float | None = None
    gpus: float = 0
    device: str = "cpu"
    ray_address: str | None = None
    slurm: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """Threads of a cell, the same on every machine, for their number decides the last bits. 0: the runner's choice."""
        return 0 if self.cpus is None else max(1, int(self.cpus))


def executors(resources: Resources, store: Path, note: Callable[[str], None]) -> Executors:
    """A function that makes the executor of these resources, for work on that store. `note` receives messages to the user."""
    module, _, name = EXECUTORS[resources.executor].partition(":")
    kind: Any = getattr(import_module(module), name)
    made: Executors = kind if resources.executor == "processes" else partial(kind, resources, store, note)
    return made


def resolve_resources(options: ExecutorOptions, device: str = "auto") -> Resources:
    """Checks the options against each other and the device; opens no connection. Raises RequestError.

    On a cluster a cell gets one CPU, hence one thread, and one GPU if it trains on one, unless the options say otherwise.
    """
    executor, cpus, gpus = options.executor, options.cpus, options.gpus
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS, label="choose")
    if options.workers is not None and options.workers < 1:
        raise RequestError(f"--workers {options.workers}; give at least 1")
    for name, value, needs in (("--ray-address", options.ray_address, "ray"), ("--slurm", options.slurm, "slurm")):
        if value is not None and executor != needs:
            raise RequestError(f"{name} is for --executor {needs}, not {executor}")
    if cpus is not None and not (cpus > 0 and (cpus < 1 or cpus == int(cpus))):
        raise RequestError(f"--cpus-per-cell {cpus:g}; give a whole number, or a fraction of one")
    if executor == "processes":
        if gpus is not None:
            raise RequestError("--gpus-per-cell is for --executor ray or slurm; processes share the GPU of --device")
        return Resources(workers=options.workers or 1, cpus=cpus, device=choose_device(device))
    if gpus is not None and not 0 <= gpus <= 1:
        raise RequestError(f"--gpus-per-cell {gpus:g}; a cell trains on one GPU or a fraction of it, so give 0 to 1")
    if executor == "slurm" and ((gpus or 0) % 1 or (cpus or 1) % 1):
        raise RequestError("SLURM allocates whole CPUs and GPUs; use --executor ray for fractions")
    if device.startswith("cuda:"):
        raise RequestError(f"--device {device}: the cluster chooses the GPU of a cell; use --device cuda")
    if device == "auto" and gpus is not None:
        device = "cuda" if gpus else "cpu"
    elif device != "cuda":  # 'cuda' is not checked: the GPUs are the cluster's
        device = choose_device(device)
    if gpus is not None and (device == "cuda") != (gpus > 0):
        raise RequestError(f"--device {device} and --gpus-per-cell {gpus:g} exclude each other")
    if options.ray_address is not None and not _ADDRESS.fullmatch(options.ray_address):
        raise RequestError(
            f"--ray-address {options.ray_address!r}; write HOST:PORT of the head node (the default port is 6379), or auto on a "
            "node of the cluster. Ray Client addresses (ray://) are not supported"
        )
    return Resources(
        executor=executor,
        workers=options.workers or (0 if executor == "ray" else QUEUED),
        cpus=cpus or 1,
        gpus=(1 if device == "cuda" else 0) if gpus is None else gpus,
        device=device,
        ray_address=options.ray_address,
        slurm=_slurm(options.slurm),
    )


def _slurm(text: str | None) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for part in filter(None, (text or "").split(",")):
        name, equals, value = (one.strip() for one in part.partition("="))
        if not equals or not name.isidentifier() or not value or name in found:
            raise RequestError(f"--slurm {text!r}; write name=value,..., each name once, such as partition=gpu,time=120")
        found[name] = int(value) if value.isascii() and value.isdigit() else value
    return found
