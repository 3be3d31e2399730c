"""Cuts batches into parts that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from harness.model.graphs import Graphed
from harness.system.devices import out_of_memory

T = TypeVar("T")


class MicroBatcher:
    """How many sequences go through a network at once; fewer, where that is allowed, each time memory runs out.

    Args:
        at_once: sequences to begin with.
        auto: whether to take fewer when memory runs out.
        note: tells the user.
    """

    def __init__(self, at_once: int, auto: bool = False, note: Callable[[str], None] = lambda text: None) -> None:
        self.at_once, self.auto, self.note = at_once, auto, note

    def each(self, models: Iterable[object], frames_BTCHW: Tensor, work: Callable[[Tensor], T]) -> Iterator[T]:
        """What `work` returns for each part of a batch, in order. A part for which memory runs out is tried again, smaller.

        For work without gradients. Every sequence is predicted by itself, so only rounding depends on how a batch is cut:
        the batch selects a convolution's kernel, and in float32 on a CPU a sequence's SSIM moved by 5e-9 at most.

        Args:
            models: the predictors that `work` calls; the CUDA graphs among them are freed when memory runs out.
        """
        done = 0
        while done < len(frames_BTCHW):
            some = frames_BTCHW[done : done + self.at_once]
            try:
                answer = work(some)
            except (RuntimeError, MemoryError) as error:
                if not self.may_take_fewer(error):
                    raise
            else:
                done += len(some)
                yield answer
                continue
            for model in models:
                if isinstance(model, Graphed):
                    model.drop()
            self.take_fewer(frames_BTCHW)

    def may_take_fewer(self, error: BaseException) -> bool:
        """Whether the error is for lack of memory, and taking fewer sequences is allowed and possible."""
        return self.auto and self.at_once > 1 and out_of_memory(error)

    def take_fewer(self, frames_BTCHW: Tensor) -> None:
        """Halves the parts of a batch. Call it outside `except`: the exception's traceback holds the failed work's tensors."""
        if frames_BTCHW.is_cuda:
            torch.cuda.empty_cache()
        self.at_once = -(-min(self.at_once, len(frames_BTCHW)) // 2)
        self.note(
            f"out of memory: from now on {self.at_once} of {len(frames_BTCHW)} sequences at once; the result stays the same cell"
        )
