"""The board as one page of HTML that loads nothing and refreshes itself, from a server or as a file."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from harness.system.console import visible
from harness.watching.board import Board, CellSeen, Gain
from harness.watching.words import cell_text, gain_text

REFRESH = 5
"""Seconds between two loads of the page; it stops when the plan is over."""
WIDTH = 200.0
_CSS = """
:root { --paper: #fff; --ink: #1c2127; --muted: #57606a; --line: #d5dae0; --done: #0a6e4f; --run: #0b5fa5; --bad: #b3470b;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e4e7ea; --muted: #a6aeb7; --line: #343b43; --done: #56c596;
  --run: #6db3f2; --bad: #f59a62; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem); max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1.05rem; margin: 1.5rem 0 .4rem; } p { margin: .4rem 0; }
.muted { color: var(--muted); font-size: .9rem; }
progress { width: 100%; height: .8rem; accent-color: var(--done); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { color: var(--muted); font-weight: 400; font-size: .9rem; }
.finished { color: var(--done); } .running, .trained { color: var(--run); } .failed, .unfinished { color: var(--bad); }
.waiting { color: var(--muted); }
td progress { display: block; width: 6rem; height: .35rem; accent-color: var(--run); }
svg { display: block; width: 12rem; height: 1.2rem; overflow: visible; } svg line { stroke: currentColor; stroke-width: 2; }
svg .zero { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 2 2; } svg circle { fill: currentColor; }
@media (max-width: 40rem) { tr > :nth-child(2) { display: none; } th, td { padding-right: .6rem; } }
"""
_AGE = """
const read = Number(document.querySelector("time").dataset.at), age = document.getElementById("age");
const tell = () => { const s = Math.max(0, Math.round(Date.now() / 1000 - read));
  age.textContent = s < 60 ? `, ${s} s ago` : `, ${Math.round(s / 60)} min ago: nobody renews this page; run harness watch`; };
tell(); setInterval(tell, 1000);
"""


def page(board: Board) -> str:
    """The whole document. Names are text, whatever is in them."""
    seeds = list(dict.fromkeys(one.seed for one in board.cells))
    gains = {one.arm: one for one in board.gains}
    reach = max((abs(x) for one in board.gains for x in (one.mean, one.low, one.high) if x is not None), default=1.0) or 1.0
    heads = ["arm", *(f"seed {seed}" for seed in seeds)]
    rows = []
    for arm, cells in board.arms.items():
        found = "".join(_cell(cells.get(seed)) for seed in seeds)
        gain = gains.get(arm)
        plot = _plot(gain, reach) if gain is not None else ""
        text = "reference" if arm == board.reference else gain_text(gain)
        rows.append(f'<tr><th scope="row">{_text(arm)}</th><td>{plot}</td><td>{_text(text)}</td>{found}</tr>')
    heads[1:1] = ["gain", f"{board.metric} over {board.reference}, 95% interval"]
    failures = "".join(
        f"<li>{_text(f'{one.arm} seed {one.seed}')}: {_text(one.reason or '')}"
        f"{f' <code>harness show {_text(one.run_id)}</code>' if one.run_id else ''}</li>"
        for one in board.cells
        if one.status == "failed"
    )
    finished = board.counts.get("finished", 0)
    at = datetime.fromtimestamp(board.at, UTC)
    refresh = "" if board.over else f'<meta http-equiv="refresh" content="{REFRESH}">'
    note = (
        "Gains are by the plan's rule of seeds."
        if any(one.verdict for one in board.gains)
        else "Gains are over the seeds finished so far, not adjusted: <code>harness report</code> gives the verdicts at the end."
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">{refresh}
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{finished}/{len(board.cells)} · {_text(board.title)}</title><style>{_CSS}</style></head>
<body><main>
<h1>{_text(board.title)}</h1>
<p>{_text(board.question)}</p>
<p role="status"><strong>{_text(board.summary)}</strong></p>
<progress aria-label="cells finished" max="{max(1, len(board.cells))}" value="{finished}"></progress>
<h2>Arms and seeds</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Arms and seeds"><table>
<thead><tr>{"".join(f'<th scope="col">{_text(one)}</th>' for one in heads)}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>
<p class="muted">{note}</p>
{f"<h2>Failures</h2><ul>{failures}</ul>" if failures else ""}
<p class="muted">Plan {_text(board.plan)}, read from the store at
<time datetime="{at.isoformat()}" data-at="{board.at:.0f}">{at:%Y-%m-%d %H:%M:%S} UTC</time><span id="age"></span></p>
</main><script>{_AGE}</script></body></html>
"""


def _text(value: object) -> str:
    return escape(visible(str(value)))


def _cell(cell: CellSeen | None) -> str:
    if cell is None:
        return "<td></td>"
    bar = ""
    if cell.status in ("running", "unfinished"):
        bar = f'<progress aria-label="progress" max="1" value="{cell.done or 0:.3f}"></progress>'
    return f'<td class="{cell.status}">{_text(cell_text(cell))}{bar}</td>'


def _plot(gain: Gain, reach: float) -> str:
    """The interval on an axis from -reach to reach that all arms share."""

    def x(value: float) -> str:
        return f"{WIDTH * (value / reach + 1.1) / 2.2:.1f}"

    bar = "" if gain.low is None or gain.high is None else f'<line x1="{x(gain.low)}" x2="{x(gain.high)}" y1="10" y2="10"/>'
    mark = "" if gain.mean is None else f'<circle cx="{x(gain.mean)}" cy="10" r="4"/>'
    zero = f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="0" y2="20"/>'
    label = _text(gain_text(gain))
    return f'<svg viewBox="0 0 {WIDTH:.0f} 20" role="img" aria-label="{label}">{zero}{bar}{mark}</svg>'
