"""The jobs of a command's cells: what all of them share is said once, for plans and for studies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.executors.processes import Job
from harness.executors.protocol import share_of_cores
from harness.options import RunOptions
from harness.runs.request import Request


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Makes the jobs of cells.

    Args:
        workers: cells at once; more than one shows its progress in plain lines.
        threads: threads of a cell; 0: torch's own choice with one worker, an equal share of the cores with more.
    """

    store: Path
    plugins: tuple[Path, ...] = ()
    third_party: bool = True
    options: RunOptions = RunOptions()
    workers: int = 1
    threads: int = 0

    def make(self, request: Request, variant: str, seed: int, *, evaluate: bool = True) -> Job:
        """The job of one cell; without `evaluate` it trains and leaves the test data alone."""
        return Job(
            request=request,
            variant=variant,
            seed=seed,
            store=self.store,
            plugins=self.plugins,
            third_party=self.third_party,
            options=self.options,
            threads=self.threads or share_of_cores(self.workers),
            quiet=self.workers != 1,
            evaluate=evaluate,
        )
