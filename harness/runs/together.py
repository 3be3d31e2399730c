"""Several cells in one process, which train in turns: for a GPU that one small cell leaves idle.

Each cell is an ordinary one with its own weights, optimizer, locks, checkpoints and records, in a thread and, on a GPU, on a
stream of its own. One thread works at a time (see `harness.system.turns`): it queues a step's passes, and while the GPU computes
them the next cell queues its own. Vectorising over seeds (torch.func.vmap) would ask every network and autograd function to
support it, and would end the seeds' independence: their checkpoints, stops and failures.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.runs.job import Done, Job, run_job
from harness.system.signals import stop_signals
from harness.system.turns import Turn, Turns

if TYPE_CHECKING:
    from harness.variant import Variants


@dataclass(frozen=True)
class Together:
    """Jobs of cells with different trainings, as one task for an executor. A signal stops all of them.

    A cell that ends, fails or waits for another process leaves the others alone. One that runs out of memory is run once more,
    alone, after the others.
    """

    jobs: tuple[Job, ...]

    @property
    def threads(self) -> int:
        """Threads for torch in the process that runs the task."""
        return self.jobs[0].threads

    def progress(self) -> int:
        """The steps from which its cells would continue, added up."""
        return sum(job.progress() for job in self.jobs)

    def run(self, variants: Variants | None = None) -> Done:
        """Runs the cells; `parts` of the answer are theirs, in the order of the jobs."""
        import torch

        turns, count = Turns(), torch.get_num_threads()

        def run(job: Job, turn: Turn) -> Done:
            turn.join()
            try:
                torch.set_num_threads(count)  # OpenMP counts by thread, and the number decides a CPU result's last bits
                with _stream(job.request.device):
                    return run_job(job, variants, turn=turn)
            finally:
                turn.leave()

        with stop_signals() as stop, ThreadPoolExecutor(len(self.jobs), "cell") as pool:
            parts = list(pool.map(run, self.jobs, [turns.new() for _ in self.jobs]))
        if self.jobs[0].request.device.startswith("cuda"):
            torch.cuda.empty_cache()  # memory is cached by stream, and the next cells have other streams
        if len(parts) > 1 and not stop.is_set():
            for number, job in enumerate(self.jobs):
                if parts[number].out_of_memory:
                    again = run_job(job, variants)
                    said = f"{job.variant} seed {job.seed}: memory ran out beside other cells; it was run again alone"
                    parts[number] = replace(again, notes=(*parts[number].notes, said, *again.notes))
        return Done("", stopped=any(part.stopped for part in parts), parts=tuple(parts))


def _stream(device: str) -> AbstractContextManager[object]:
    """A stream of this thread's own; none on the CPU."""
    if not device.startswith("cuda"):
        return nullcontext()
    import torch

    made: AbstractContextManager[object] = torch.cuda.stream(torch.cuda.Stream(torch.device(device)))  # type: ignore[no-untyped-call]
    return made
