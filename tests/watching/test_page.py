"""The page of a running plan: what it shows, and that it loads nothing."""

from __future__ import annotations

from html.parser import HTMLParser

from plan_cells import ssim

from harness.watching.board import Board, CellSeen, Reader
from harness.watching.page import page

HOSTILE = "<script>alert(1)</script>\x1b[2J"


class Outline(HTMLParser):
    """What a page loads, its scripts, and the text of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.rows: list[list[str]] = []
        self.refresh = False
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [str(given[name]) for name in ("src", "href") if name in given]
        self.refresh |= tag == "meta" and given.get("http-equiv") == "refresh"
        self.scripts += tag == "script"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def outline(board: Board) -> Outline:
    parser = Outline()
    parser.feed(page(board))
    return parser


def test_the_page_shows_the_board_and_loads_nothing(whole: Reader) -> None:
    found = outline(whole.read())
    assert found.loads == ["data:,"]  # no icon is asked for
    assert not found.refresh
    assert [row[0] for row in found.rows] == ["arm", "base", "attention", "residual"]
    assert found.rows[1][3:] == [f"{ssim('base', seed):.4f}" for seed in (0, 1, 2)]
    assert found.rows[2][4] == "failed"


def test_the_page_refreshes_until_the_plan_is_over_and_takes_names_for_text() -> None:
    board = Board("p", HOSTILE, HOSTILE, "ssim", "base", (CellSeen(HOSTILE, 0, "failed", reason=HOSTILE),), (), 0.0)
    assert outline(board).scripts == 1  # its own
    assert "\x1b" not in page(board)
    assert outline(Board("p", "t", "q", "ssim", "base", (CellSeen("base", 0, "waiting"),), (), 0.0)).refresh
