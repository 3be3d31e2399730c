"""What a cell and a gain are called, on a terminal and on the page."""

from __future__ import annotations

from harness.watching.board import CellSeen, Gain, clock


def cell_text(cell: CellSeen) -> str:
    """'0.5944' of a finished cell, '45% 3:20 left' of one that runs, else its status."""
    if cell.status == "finished":
        return "finished" if cell.value is None else f"{cell.value:.4f}"
    if cell.status == "running":
        if cell.done == 1:
            return "testing"
        left = "" if cell.seconds_left is None else f" {clock(cell.seconds_left)} left"
        return f"{cell.done or 0:.0%}{left}"
    return f"stopped at {cell.done or 0:.0%}" if cell.status == "unfinished" else cell.status


def gain_text(gain: Gain | None) -> str:
    """'+0.0130 [-0.0027, +0.0288] of 3 seeds', with the verdict where the plan's rule gave one."""
    if gain is None or gain.mean is None:
        return ""
    interval = "" if gain.low is None or gain.high is None else f" [{gain.low:+.4f}, {gain.high:+.4f}]"
    verdict = f", {gain.verdict}" if gain.verdict else ""
    return f"{gain.mean:+.4f}{interval} of {gain.n} seed{'s' if gain.n != 1 else ''}{verdict}"
