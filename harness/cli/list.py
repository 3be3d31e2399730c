"""`harness list`: what is installed, and what the store has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from harness.cli.options import JsonOption, PluginOptions, StoreOptions, expand_options
from harness.errors import unknown
from harness.system.console import emit, note, print_table, say

_WHY = ("error", "reason")


@expand_options
def list_(
    *,
    what: Annotated[str, typer.Argument(help="variants, components, studies, reports, presets, settings or runs.")] = "runs",
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
        "runs": lambda: listing.runs(stored.store),
    }
    if what not in makers:
        raise unknown("list", what, makers, label="choices")
    rows = makers[what]()
    if as_json:
        emit({what: rows})
    elif not rows:
        say(f"no runs in {stored.root}" if what == "runs" else f"no {what}")
    else:
        if what == "components":
            rows = listing.fields(rows)
        names = dict.fromkeys(name for row in rows for name in row)
        columns = [name for name in names if any(row.get(name) not in (None, "", {}) for row in rows) and name not in _WHY]
        print_table(columns, [[listing.cell(row.get(name)) for name in columns] for row in rows])
        for row in rows:
            for why in filter(None, map(row.get, _WHY)):  # too long for a column
                note(f"{row.get('run_id') or row['name']}: {why}")
