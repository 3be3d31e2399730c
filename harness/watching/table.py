"""The board on a terminal: arms by seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.system.console import visible
from harness.watching.board import Board, CellSeen
from harness.watching.words import cell_text, gain_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

COLUMNS = 8
"""The most seeds that have a column each, where the terminal is wide enough; of more, an arm shows how many stand where."""
GAIN = 24
"""Characters of a gain that is broken into lines."""
FAILURES = 5
STYLES = {"finished": "green", "running": "cyan", "failed": "red", "unfinished": "yellow", "trained": "cyan"}


@dataclass(frozen=True)
class Drawn:
    """The board for rich, as wide as its terminal allows."""

    board: Board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Drawn."""
        yield table(self.board, options.max_width)


def table(board: Board, width: int) -> RenderableType:
    """The board for rich on a terminal of `width` characters."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    seeds = list(dict.fromkeys(one.seed for one in board.cells))
    columns = [max(len(cell_text(one)) for one in board.cells if one.seed == seed) for seed in seeds]
    needed = max(map(len, board.arms), default=0) + sum(max(one, len("seed 0")) + 2 for one in columns) + GAIN
    single = len(seeds) <= COLUMNS and needed <= width
    gains = {one.arm: one for one in board.gains}
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=board.summary, caption_justify="left")
    drawn.add_column("arm")
    for name in [f"seed {seed}" for seed in seeds] if single else ["cells"]:
        drawn.add_column(name, no_wrap=True)
    drawn.add_column(f"{board.metric}, gain over {board.reference} so far [95%]")
    for arm, cells in board.arms.items():
        if single:
            shown = [_text(cells[seed]) if seed in cells else Text("") for seed in seeds]
        else:
            own = Board("", "", "", "", "", tuple(cells.values()), (), 0.0).counts
            shown = [Text(", ".join(f"{count} {status}" for status, count in own.items()))]
        drawn.add_row(Text(visible(arm)), *shown, gain_text(gains.get(arm)))
    failures = [
        Text(visible(f"failed: {one.arm} seed {one.seed}: {one.reason}"), style="red")
        for one in board.cells
        if one.status == "failed"
    ]
    return Group(drawn, *failures[:FAILURES])


def _text(cell: CellSeen) -> RenderableType:
    from rich.text import Text

    return Text(cell_text(cell), style=STYLES.get(cell.status, "dim"))
