"""What a training tells while it runs. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol


@dataclass(frozen=True)
class Status:
    """Where a training is. Times in seconds; `done` is the share of the budget, 0..1."""

    step: int
    done: float
    loss: float | None
    validation_ssim: float | None
    sequences_per_second: float | None
    seconds_left: float | None

    def __str__(self) -> str:
        parts = [f"step {self.step}", f"{self.done:4.0%}"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.validation_ssim is not None:
            parts.append(f"val SSIM {self.validation_ssim:.4f}")
        if self.sequences_per_second is not None:
            parts.append(f"{self.sequences_per_second:.1f} seq/s")
        if self.seconds_left is not None:
            minutes, seconds = divmod(round(self.seconds_left), 60)
            parts.append(f"{minutes}:{seconds:02d} left")
        return " · ".join(parts)


class Progress(Protocol):
    """What a training tells while it runs."""

    def update(self, status: Status) -> None:
        """Called after every step."""

    def note(self, text: str) -> None:
        """Called for what the user should know."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Silent:
    """Tells nothing."""

    def update(self, status: Status) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None
