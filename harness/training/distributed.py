"""The processes that train one cell together, each on its share of every batch; one process is the usual case.

`torchrun --nproc-per-node N -m harness run ...` starts them. Every rank draws the same batch and takes its slice of it, so the
data stream is that of one process; gradients are summed, so they are those of one process on the whole batch but for the
order of the sums. Only rank 0 reads the clock, validates, writes to the store and prints; the others take over its state. All
use the same store (one machine, or a shared file system).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from harness.errors import HarnessError, RequestError
from harness.system.devices import cuda_visible

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PATIENCE = timedelta(hours=12)
"""How long the others wait for rank 0, which may wait for another process's lock or validate for long."""
LONGEST_MESSAGE = 4096


@dataclass(frozen=True)
class Distributed:
    """This process among those that train together. With a `count` of 1 every method does nothing, at no cost."""

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def shard(self, batch: int) -> slice:
        """The part of a batch that this rank trains on; the parts differ by one sequence at most.

        Raises RequestError when there are more processes than sequences.
        """
        if batch < self.count:
            raise RequestError(
                f"training.batch_size is {batch}, but {self.count} processes share each batch; start at most {batch} of them"
            )
        return slice(batch * self.rank // self.count, batch * (self.rank + 1) // self.count)

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes, in one exchange."""
        if self.count == 1:
            return
        import torch
        import torch.distributed

        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        if self.count == 1:
            return flag
        import torch

        total = torch.tensor([float(flag)])
        self.all_reduce([total])
        return bool(total.item())

    def broadcast(self, text: str) -> str:
        """What rank 0 says (`text` there); at most 4,096 bytes."""
        if self.count == 1:
            return text
        import torch
        import torch.distributed

        message = torch.zeros(LONGEST_MESSAGE, dtype=torch.uint8)
        if self.is_main:
            said = text.encode()
            message[: len(said)] = torch.frombuffer(bytearray(said), dtype=torch.uint8)
        torch.distributed.broadcast(message, src=0)
        return bytes(message.tolist()).rstrip(b"\0").decode()

    def synchronize(self, model: torch.nn.Module, step: int) -> None:
        """Gives all processes rank 0's weights. Raises HarnessError when they would not start from the same step."""
        if self.count == 1:
            return
        import torch.distributed

        leader = int(self.broadcast(str(step)))
        if self.any(leader != step):
            raise HarnessError(
                f"rank {self.rank} of {self.count} found the training at step {step}, rank 0 at step {leader}: the processes "
                "of a training must share one store (--store on a shared file system)"
            )
        for tensor in (*model.parameters(), *model.buffers()):
            torch.distributed.broadcast(tensor.detach(), src=0)


SINGLE_PROCESS = Distributed()


def local_device(asked: str) -> str:
    """The device of this process: 'auto' and 'cuda' become the GPU of this rank on its machine (torchrun's LOCAL_RANK)."""
    local = os.environ.get("LOCAL_RANK", "")
    if asked not in ("auto", "cuda") or not local.isdecimal() or (asked == "auto" and not cuda_visible()):
        return asked
    return f"cuda:{local}"


@contextmanager
def from_environment(device: str) -> Iterator[Distributed]:
    """The processes that torchrun's variables (RANK, WORLD_SIZE, ...) describe; `SINGLE_PROCESS` without them.

    Raises RequestError for variables that are not numbers, HarnessError when the processes do not find each other.
    """
    try:
        rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    except ValueError:
        raise RequestError(
            f"RANK={os.environ.get('RANK')} and WORLD_SIZE={os.environ.get('WORLD_SIZE')} are not numbers; torchrun sets them"
        ) from None
    if count <= 1:
        yield SINGLE_PROCESS
        return
    # Imported later, by any optimizer, its functions would keep the group as a default: its threads would outlive it, and one that
    # drops a tensor while the interpreter ends aborts the process.
    import torch.distributed.nn

    try:
        backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
        torch.distributed.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise HarnessError(
            f"rank {rank} of {count} cannot join the others: {str(error).splitlines()[0]}; start them with torchrun, or unset "
            "WORLD_SIZE to train in one process"
        ) from None
    try:
        yield Distributed(rank, count)
    finally:
        torch.distributed.destroy_process_group()
