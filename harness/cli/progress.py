"""Progress of a run on stderr: a live line on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from harness.cli.printing import note, visible
from harness.training.progress import Progress, Silent, Status


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
    """One line that is drawn anew, with rich."""

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


def progress(title: str) -> Progress:
    """A live line when stderr is a terminal, else plain lines."""
    return LiveLine(title) if sys.stderr.isatty() else PlainLines(title)
