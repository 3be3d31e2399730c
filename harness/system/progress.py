"""Progress of a run: a live line on a terminal or in a notebook, plain lines on stderr elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from harness.system.console import note, visible


@dataclass(frozen=True)
class Status:
    """Where a training is. Times in seconds; `done` is the share of the budget, 0..1; `blank_ssim` is the blank frame's SSIM."""

    step: int
    done: float
    loss: float | None
    validation_ssim: float | None
    blank_ssim: float | None
    sequences_per_second: float | None
    seconds_left: float | None

    def __str__(self) -> str:
        parts = [f"step {self.step}", f"{self.done:4.0%}"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.validation_ssim is not None:
            gain = "" if self.blank_ssim is None else f" ({self.validation_ssim - self.blank_ssim:+.3f} on blank)"
            parts.append(f"val SSIM {self.validation_ssim:.4f}{gain}")
        if self.sequences_per_second is not None:
            parts.append(f"{self.sequences_per_second:.1f} seq/s")
        if self.seconds_left is not None:
            minutes, seconds = divmod(round(self.seconds_left), 60)
            parts.append(f"{minutes}:{seconds:02d} left")
        return " · ".join(parts)


class Progress(Protocol):
    """What a training reports while it runs."""

    def update(self, status: Status) -> None:
        """Called after every step."""

    def note(self, text: str) -> None:
        """Called for what the user should know."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Silent:
    """Reports nothing."""

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


class NotesOnly(Silent):
    """Passes notes on and shows nothing else."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def note(self, text: str) -> None:
        """Passes the text on."""
        self._note(text)


class PlainLines(Silent):
    """A line at most every `every` seconds, for logs."""

    def __init__(self, title: str, every: float = 5.0) -> None:
        self.title, self.every, self.last = title, every, -float("inf")

    def update(self, status: Status) -> None:
        """Prints the status when the last line is old enough, and at the end."""
        if time.monotonic() - self.last >= self.every or status.done >= 1:
            self.last = time.monotonic()
            self.note(f"{self.title}: {status}")

    def note(self, text: str) -> None:
        """Prints a line to stderr."""
        note(text)


class LiveLine(Silent):
    """One line that is redrawn, with rich."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self.bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[status]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.bar.add_task(title, total=1.0, status="starting")

    def update(self, status: Status) -> None:
        """Redraws the line."""
        self.bar.update(self.task, completed=status.done, status=str(status))

    def note(self, text: str) -> None:
        """Prints a line above."""
        self.bar.console.print(visible(text), highlight=False, markup=False)

    def __enter__(self) -> LiveLine:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.stop()


class NotebookLine(Silent):
    """One line below the cell of a notebook, redrawn at most every `every` seconds."""

    def __init__(self, title: str, every: float = 0.5) -> None:
        from IPython.display import display

        self.title, self.every, self.last = title, every, -float("inf")
        self.shown = display(self._text("starting"), raw=True, display_id=True)

    def _text(self, status: object) -> dict[str, str]:
        return {"text/plain": f"{self.title}: {status}"}

    def update(self, status: Status) -> None:
        """Redraws the line when it is old enough, and at the end."""
        if time.monotonic() - self.last >= self.every or status.done >= 1:
            self.last = time.monotonic()
            self.shown.update(self._text(status), raw=True)

    def note(self, text: str) -> None:
        """Prints a line to stderr."""
        note(text)


def progress(title: str) -> Progress:
    """A live line on a terminal or in a notebook, else plain lines."""
    if in_notebook():
        return NotebookLine(title)
    return LiveLine(title) if sys.stderr.isatty() else PlainLines(title)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None
