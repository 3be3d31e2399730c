"""How and where cells run, declared once: values that travel whole from the command line through plans, studies and executors.

Nothing here changes a result by more than rounding, so nothing here is part of a cell's identity. A new option is one field of
`RunOptions`: the commands that run cells show it (see `harness.cli.options`), and every executor passes it on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

T = TypeVar("T")

SAVE_SECONDS = 30.0
"""Default seconds between a training's checkpoints: what a crash may cost."""


def option(default: T, help: str, *, flag: str = "", at_least: float | None = None) -> T:
    """A field of a dataclass, or a parameter of a command, that the command line shows as an option.

    Args:
        default: the field's default; a boolean one must be False.
        help: the help text.
        flag: the option's names, separated by spaces ('--set -s'); by default made from the field's name.
        at_least: the smallest value allowed.
    """
    result: T = field(default=default, metadata={"help": help, "flag": flag, "at_least": at_least})
    return result


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to train and test a cell."""

    panel: ClassVar[str] = "Training and testing"

    deterministic: bool = option(False, "Use deterministic algorithms only (slower on a GPU).")
    auto_batch: bool = option(False, "When memory runs out, train, validate and test on smaller parts of the same batch.")
    no_graphs: bool = option(False, "On a GPU, launch every kernel by itself instead of replaying CUDA graphs.")
    reference: bool = option(False, "Train with the plain reference implementation, to check the fast one (slow).")
    save_every: float = option(SAVE_SECONDS, "Seconds between checkpoints: what a crash may cost.", at_least=0)
    hooks: list[str] | None = option(
        None,
        "Who follows the runs: tensorboard, mlflow, wandb, trackio, or a hook of your own, module:Class; may be repeated. See "
        "docs/trackers.md.",
        flag="--track --hook",
    )


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Where cells run. `harness.executors.resources.resolve_resources` checks them and makes Resources."""

    panel: ClassVar[str] = "Where cells run"

    executor: str = option("processes", "processes (on this machine), ray or slurm; see docs/cluster.md.")
    workers: int | None = option(
        None,
        "Cells at the same time. Default: what is fastest on this machine's cores, measured once, and 1 on its GPU; on Ray as "
        "many as the cluster holds, on SLURM 8.",
    )
    cpus: float | None = option(
        None, "CPUs and threads per cell. Default: 1 on a cluster, an equal share of the cores here.", flag="--cpus-per-cell"
    )
    gpus: float | None = option(
        None, "GPUs per cell on a cluster: 0, 1, or on Ray a fraction, which cells share.", flag="--gpus-per-cell"
    )
    ray_address: str | None = option(None, "HOST:PORT of a Ray cluster, or auto. Default: start Ray on this machine.")
    slurm: str | None = option(None, "Parameters for sbatch, such as partition=gpu,time=120 (minutes).")
