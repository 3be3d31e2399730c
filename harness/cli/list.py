"""`harness list`: what is installed, and what the store has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from harness.cli.options import JsonOption, PluginOptions, StoreOptions, expand_options
from harness.errors import RequestError, unknown
from harness.options import option
from harness.system.console import emit, note, print_table, say

_WHY = ("error", "reason")
_BEGIN = "; `harness run` or `harness ablate` makes some, --store or HARNESS_STORE names another store"


@expand_options
def list_(
    *,
    what: Annotated[str, typer.Argument(help="variants, components, studies, reports, presets, settings or runs.")] = "runs",
    where: str = option(
        "", 'Of runs: only those that meet a condition, such as "variant=attention and seed<3".', flag="--where -w"
    ),
    columns: str = option("", "Of runs: columns, metrics and settings to show, separated by commas."),
    stored: StoreOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
) -> None:
    """List variants, components, studies, reports, presets, settings or runs."""
    from harness.cli import listing
    from harness.reports import Report
    from harness.studies import Study

    third_party = not plugins.no_plugins
    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "variants": lambda: listing.variants(plugins.variants()),
        "studies": lambda: listing.plugins("harness.studies", Study, third_party, plugins.files),
        "reports": lambda: listing.plugins("harness.reports", Report, third_party),
        "components": lambda: listing.components(plugins.variants().components),
        "presets": listing.presets,
        "settings": listing.settings,
        "runs": lambda: listing.runs(stored.store, where, [one for one in map(str.strip, columns.split(",")) if one]),
    }
    if what not in makers:
        raise unknown("list", what, makers, label="choices")
    if what != "runs" and (where or columns):
        raise RequestError(f"--where and --columns choose among runs; leave them out of `list {what}`")
    rows = makers[what]()
    if as_json:
        emit({what: rows})
    elif not rows:
        which = f" that meet --where {where!r}" if where else ""
        say(f"no runs in {stored.root}{which or _BEGIN}" if what == "runs" else f"no {what}")
    else:
        if what == "components":
            rows = listing.fields(rows)
        elif what == "settings":
            note("values of preset paper; `harness run --preset NAME --dry-run` prints another's")
        elif what == "runs":
            rows, more = listing.table(rows)
            if more:
                note(f"{len(more)} more settings differ (--columns shows them): {', '.join(more)}")
        names = dict.fromkeys(name for row in rows for name in row)
        headings = [name for name in names if any(row.get(name) not in (None, "", {}) for row in rows) and name not in _WHY]
        print_table(headings, [[listing.cell(row.get(name)) for name in headings] for row in rows])
        for row in rows:
            for why in filter(None, map(row.get, _WHY)):  # too long for a column
                note(f"{row.get('run_id') or row['name']}: {why}")
