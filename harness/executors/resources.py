"""The words of the command line about where cells run: executor, workers, CPUs and GPUs a cell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.errors import RequestError, unknown
from harness.system.devices import choose_device

EXECUTORS = ("processes", "ray", "slurm")
QUEUED = 8
"""Jobs that SLURM is given at once where the user says nothing: a study with all its trials under way would learn nothing."""
_ADDRESS = re.compile(r"auto|(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Where cells run, and what each is given. Made by `place`.

    Args:
        workers: cells at once; 0 for as many as the cluster holds (Ray).
        cpus: CPUs a cell; None for an equal share of this machine (processes).
        gpus: GPUs a cell, 0..1; a fraction lets cells share one (Ray).
        device: where a cell trains: 'cpu', 'cuda' or, here, 'cuda:N'.
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
        """Threads of a cell: the same on every machine, for their number decides the last bits. 0: the runner's choice."""
        return 0 if self.cpus is None else max(1, int(self.cpus))


def resolve_resources(
    executor: str = "processes",
    *,
    workers: int | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    device: str = "auto",
    ray_address: str | None = None,
    slurm: str | None = None,
) -> Resources:
    """Checks the user's words against each other; opens no connection. Raises RequestError.

    Elsewhere than here a cell gets one CPU, hence one thread, and one GPU where it trains on one, unless it is said otherwise.
    """
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS, label="choose")
    if workers is not None and workers < 1:
        raise RequestError(f"--workers {workers}; at least 1 is needed")
    for option, value, needs in (("--ray-address", ray_address, "ray"), ("--slurm", slurm, "slurm")):
        if value is not None and executor != needs:
            raise RequestError(f"{option} is for --executor {needs}, not {executor}")
    if cpus is not None and not (cpus > 0 and (cpus < 1 or cpus == int(cpus))):
        raise RequestError(f"--cpus-per-cell {cpus:g}; give a whole number, or a fraction of one")
    if executor == "processes":
        if gpus is not None:
            raise RequestError("--gpus-per-cell is for --executor ray or slurm; processes here share the GPU of --device")
        return Resources(workers=workers or 1, cpus=cpus, device=choose_device(device))
    if gpus is not None and not 0 <= gpus <= 1:
        raise RequestError(f"--gpus-per-cell {gpus:g}; a cell trains on one GPU or a fraction of it, so give 0 to 1")
    if executor == "slurm" and ((gpus or 0) % 1 or (cpus or 1) % 1):
        raise RequestError("SLURM hands out whole CPUs and GPUs; use --executor ray for fractions")
    if device.startswith("cuda:"):
        raise RequestError(f"--device {device}: the cluster says which GPU a cell gets; use --device cuda")
    if device == "auto" and gpus is not None:
        device = "cuda" if gpus else "cpu"
    elif device != "cuda":  # 'cuda' is not checked: the GPUs are the cluster's
        device = choose_device(device)
    if gpus is not None and (device == "cuda") != (gpus > 0):
        raise RequestError(f"--device {device} and --gpus-per-cell {gpus:g} exclude each other")
    if ray_address is not None and not _ADDRESS.fullmatch(ray_address):
        raise RequestError(
            f"--ray-address {ray_address!r}; write HOST:PORT of the head node (its port is 6379 unless it was told another), "
            "or auto on a node of the cluster. Ray Client addresses (ray://) are not supported"
        )
    return Resources(
        executor=executor,
        workers=workers or (0 if executor == "ray" else QUEUED),
        cpus=cpus or 1,
        gpus=(1 if device == "cuda" else 0) if gpus is None else gpus,
        device=device,
        ray_address=ray_address,
        slurm=_slurm(slurm),
    )


def _slurm(text: str | None) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for part in filter(None, (text or "").split(",")):
        name, equals, value = (one.strip() for one in part.partition("="))
        if not equals or not name.isidentifier() or not value or name in found:
            raise RequestError(f"--slurm {text!r}; write name=value,..., each name once, such as partition=gpu,time=120")
        found[name] = int(value) if value.isascii() and value.isdigit() else value
    return found
