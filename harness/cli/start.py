"""`harness` alone: what the store holds, and what to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import HarnessError
from harness.system.console import say
from harness.version import __version__

if TYPE_CHECKING:
    from harness.store import Store


def _version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Ablation benchmarks for spatiotemporal prediction: which idea helps, by how much, at what cost, how surely."""
    if context.invoked_subcommand is None:
        from harness.store import Store, store_root

        for line in lines(Store(store_root(None))):
            say(line)


def unfinished_plans(store: Store) -> Iterator[str]:
    """The commands of plans with cells that are not finished; a record that cannot be read is doctor's."""
    from harness.store import Folder

    plans = Folder(store.part("plans"))
    for path in sorted(plans.path.glob("*.json")):
        with suppress(HarnessError, LookupError, TypeError):
            record = plans.read(path.name)
            if record["command"] and any(cell["status"] != "finished" for cell in record["cells"]):
                yield str(record["command"])


def lines(store: Store) -> Iterator[str]:
    """What there is, then commands, the most useful one first."""
    from harness.store import index

    runs = [one for one in index.rows(store) if "~" not in one["run_id"]]
    counts = Counter(one["status"] for one in runs)
    if not runs:
        yield f"nothing in {store.root} yet"
        yield "  harness run --variant attention            train and test one variant"
        yield "  harness ablate --plan add-one --seeds 5    which of the article's ideas helps? --dry-run says what it takes"
    else:
        yield f"{store.root}: " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        for command in unfinished_plans(store):
            yield f"  {command}    # resumes this plan"
        if counts["failed"] or counts["damaged"]:
            yield "  harness list runs    # says what failed; harness doctor says how to repair what is damaged"
        if counts["finished"]:
            yield "  harness report" + (
                "" if counts["finished"] > 1 else "    # one run decides nothing: harness ablate makes several"
            )
        if counts["unfinished"] or counts["trained"]:
            yield "  harness show RUN    # of an unfinished run: the command that resumes it"
    yield "harness --help names every command"
