"""What the cells of a plan or a study share, and the job of each one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.executors.processes import share_of_cores
from harness.options import RunOptions
from harness.runs.job import Job
from harness.runs.request import Request


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """How cells are run.

    Args:
        options: how cells are trained and tested.
        workers: cells at once; 0: as many as the executor has room for. Several show their progress in plain lines.
        live: the plan shows its cells itself, so that they print nothing.
        cells_per_process: cells that a process trains in turns (see `harness.runs.together`).
        threads: threads of a cell; 0: torch's own choice with one worker, an equal share of the cores with more.
    """

    plugins: tuple[Path, ...] = ()
    third_party: bool = True
    options: RunOptions = RunOptions()
    workers: int = 1
    cells_per_process: int = 1
    threads: int = 0
    live: bool = False

    def job(
        self, store: Path, request: Request, variant: str, seed: int, *, evaluate: bool = True, training: str = ""
    ) -> Job:
        """The job of one cell, whose training has that key; without `evaluate` it trains and leaves the test data alone."""
        return Job(
            request=request,
            variant=variant,
            seed=seed,
            store=store,
            plugins=self.plugins,
            third_party=self.third_party,
            options=self.options,
            threads=self.threads or share_of_cores(self.workers),
            quiet=self.workers != 1 or self.cells_per_process > 1,
            silent=self.live,
            evaluate=evaluate,
            training=training,
        )
