"""A network's passes as CUDA graphs, for where launching kernels takes longer than the kernels do.

What is in a graph: the network's forward pass and, where autograd is on, its backward pass. What is not: the loss with its
weights and its scale, clipping, the optimizer, the exchange between processes. So nothing that changes from step to step is
in a graph, and a skipped step needs no special case.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

DEVICES = ("cuda",)
"""Device types on which networks are graphed."""
MOST = 4
"""Graphs that are held at once; each holds the memory of its passes."""
WARM_UPS = 3
"""Calls before `Graphed` replays what is trained: without gradients, watched, captured. Inference needs one fewer."""


class Key(NamedTuple):
    """What a graph is made for; another value of any of these is another graph."""

    shape: torch.Size
    dtype: torch.dtype
    horizon: int
    training: bool
    autocast: torch.dtype | None
    gradients: tuple[bool, ...] | None
    """Which parameters have a gradient to add to; None without autograd."""


class Fixed(nn.Module):
    """A network with all its arguments fixed but one: (B, T, C, H, W) -> (B, horizon, C, H, W)."""

    def __init__(self, network: nn.Module, horizon: int, device_type: str) -> None:
        super().__init__()
        self.network, self.horizon, self._device_type = network, horizon, device_type
        self._autocast = _autocast_of(device_type)

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        """Predicts. Casts the weights each time: a cast that autocast caches would be gone when the graph is replayed."""
        enabled = self._autocast is not None
        with torch.autocast(self._device_type, dtype=self._autocast, enabled=enabled, cache_enabled=False):
            answer: Tensor = self.network(frames_BTCHW, self.horizon)
        return answer


def capture(fixed: Fixed, frames_BTCHW: Tensor) -> Callable[[Tensor], Tensor]:
    """The same function replayed from a CUDA graph, for inputs like these: with its backward pass if autograd is on.

    An answer, and a gradient that a backward pass hands over, is overwritten by the next. Raises whatever torch raises where
    something cannot be captured.
    """
    # What a graph keeps of autograd remembers the streams of its capture, which later captures and eager backward passes of the
    # same weights meet: right, but for a warning, and before torch 2.13 a second capture may fail (pytorch#180090, #166136).
    for switch, value in (
        ("set_override_stale_capture_stream", True),
        ("set_warn_on_accumulate_grad_stream_mismatch", False),
    ):
        if hasattr(torch.autograd.graph, switch):
            getattr(torch.autograd.graph, switch)(value)
    static = frames_BTCHW.clone(memory_format=torch.contiguous_format)
    torch.cuda.empty_cache()  # what earlier calls left to their stream is of no use to the streams in here
    with torch.cuda.device(frames_BTCHW.device), torch.autocast(frames_BTCHW.device.type, enabled=False):
        if torch.is_grad_enabled():
            make: Callable[..., Callable[[Tensor], Tensor]] = torch.cuda.make_graphed_callables  # type: ignore[assignment]
            return make(fixed, (static,), allow_unused_input=True)
        side, current = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(2):
                fixed(static)
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer: Tensor = fixed(static)

    def replay(frames_BTCHW: Tensor) -> Tensor:
        static.copy_(frames_BTCHW)
        graph.replay()
        return answer

    return replay


class Graphed(nn.Module):
    """A network whose repeated calls are replayed from graphs: (frames, horizon) -> prediction, which the next call overwrites.

    The first call of a kind (see `Key`) runs the network as it is, and watches it: one that draws random numbers or keeps
    something as it runs is never graphed. By then kernels are chosen and compiled, and what is cached is cached. The second
    call is captured. If that fails, for lack of memory or any other reason, the user is told once and no graphs are used.

    A graph's backward pass adds to the gradients that are there; where there is none it would hand over memory that it overwrites
    the next time (pytorch#181723). So a call that finds none runs as it is: clear them with `zero_grad(set_to_none=False)`.

    Args:
        model: the network.
        note: tells the user that graphs are off, and why.
    """

    def __init__(self, model: nn.Module, note: Callable[[str], None] = lambda text: None) -> None:
        super().__init__()
        self.model, self.off = model, False
        self._note = note
        self._calls: Counter[Key] = Counter()
        self._graphs: dict[Key, Callable[[Tensor], Tensor]] = {}

    def forward(self, frames_BTCHW: Tensor, horizon: int) -> Tensor:
        """As the network."""
        key = self._key(frames_BTCHW, horizon)
        if key is not None and key in self._graphs:
            return self._graphs[key](frames_BTCHW)
        if key is not None and not self.off:
            self._calls[key] += 1
            if self._calls[key] == 1:
                if any(held.horizon != horizon for held in self._graphs):  # a curriculum has moved on; free their memory
                    self.drop()
                return self._watched(frames_BTCHW, horizon)
            if self._calls[key] == 2 and self._captured(key, frames_BTCHW):
                return self._graphs[key](frames_BTCHW)
        answer: Tensor = self.model(frames_BTCHW, horizon)
        return answer

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As any network's. To give the gradients' memory back is to give that of the graphs, too."""
        if set_to_none:
            self.drop()
        super().zero_grad(set_to_none)

    def drop(self) -> None:
        """Frees the graphs and their memory."""
        if self._graphs:
            self._graphs.clear()
            self._free()

    def _key(self, frames: Tensor, horizon: int) -> Key | None:
        """None for a call that is never graphed."""
        gradients = None
        if torch.is_grad_enabled():
            gradients = tuple(parameter.grad is not None for parameter in self.model.parameters())
            if frames.requires_grad or not any(gradients):
                return None
        return Key(frames.shape, frames.dtype, horizon, self.model.training, _autocast_of(frames.device.type), gradients)

    def _watched(self, frames: Tensor, horizon: int) -> Tensor:
        before = self._traces(frames.device)
        answer: Tensor = self.model(frames, horizon)
        if self._traces(frames.device) != before:
            self._turn_off("the network draws random numbers, or keeps something, as it runs")
        return answer

    def _traces(self, device: torch.device) -> list[object]:
        """What a call may leave behind besides its answer."""
        states = [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]
        return [
            [state.numpy().tobytes() for state in states],
            [(id(buffer), buffer._version) for buffer in self.model.buffers()],
            [
                {name: value for name, value in vars(module).items() if isinstance(value, int | float | str)}
                for module in self.model.modules()
            ],
        ]

    def _captured(self, key: Key, frames: Tensor) -> bool:
        if len(self._graphs) >= MOST:
            self._graphs.pop(next(iter(self._graphs)))
            self._free()
        try:
            self._graphs[key] = capture(Fixed(self.model, key.horizon, frames.device.type), frames)
            return True
        except Exception as error:  # of a driver, a library or a component: without graphs the answer is right all the same
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        self._turn_off(reason)
        self._free()  # only here, for the exception held what the failed capture had
        return False

    def _turn_off(self, reason: str) -> None:
        self.off = True
        self.drop()
        self._note(f"CUDA graphs are off: {reason}; the results are the same")

    def _free(self) -> None:
        gc.collect()  # torch's graphed callables refer to themselves
        if next(self.model.parameters()).is_cuda:
            torch.cuda.empty_cache()


def graphed(
    model: nn.Module, device: torch.device, wanted: bool = True, note: Callable[[str], None] = lambda text: None
) -> nn.Module:
    """The network behind graphs where they help and are wanted; otherwise the network itself.

    A network with `forward_training` is fed other things in training than graphs hold, so it runs without them.
    """
    return Graphed(model, note) if wanted and device.type in DEVICES and not hasattr(model, "forward_training") else model


def _autocast_of(device_type: str) -> torch.dtype | None:
    return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else None
