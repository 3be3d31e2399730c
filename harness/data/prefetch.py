"""Training batches, made while the device still works on the one before."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import nullcontext, suppress

import torch
from torch import Tensor

DEVICES = ("cuda",)
"""Device types that work while the host continues; on others nothing is made ahead."""


class Prefetcher:
    """`make`, with one answer made ahead of its use.

    What is made depends on the arguments alone, so it does not matter whether a batch was prepared: one that was for other
    arguments (another step after a resume, another horizon of a curriculum) is thrown away.

    On CUDA a stream of its own does the copying and rendering. On the stream that trains, a copy from the host would wait for
    all the work before it; here it waits for nothing, pinned or not.
    """

    def __init__(self, make: Callable[..., Tensor], device: torch.device) -> None:
        self._make, self._wanted = make, device.type in DEVICES
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._asked: tuple[Hashable, ...] | None = None
        self._made: Tensor | None = None

    def __call__(self, *asked: Hashable) -> Tensor:
        """The batch for these arguments."""
        known, made = self._asked, self._made
        self._asked = self._made = None
        if made is None or known != asked:
            return self._make(*asked)
        if self._stream is not None:
            current = torch.cuda.current_stream(made.device)
            current.wait_stream(self._stream)
            made.record_stream(current)
        return made

    def prepare(self, *asked: Hashable) -> None:
        """Makes the batch that will be asked for next, as far as one can tell. Call it when the device has work to do."""
        if self._wanted:
            with suppress(torch.OutOfMemoryError), torch.cuda.stream(self._stream) if self._stream else nullcontext():
                self._made = self._make(*asked)
                self._asked = asked
