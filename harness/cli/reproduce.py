"""`harness reproduce`: train what somebody published again, and say which figures agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import DeviceOptions, JsonOption, PluginOptions, expand_options
from harness.errors import RequestError
from harness.options import RunOptions, option
from harness.system.console import emit, note, print_table, say

if TYPE_CHECKING:
    from harness.store import Store


@expand_options
def reproduce(
    *,
    bundle: Annotated[Path, typer.Argument(help="A file of `harness store export`, or a folder of records.")],
    store: Path | None = option(None, "The fresh store to train in. Default: NAME-reproduced."),
    only: str = option("", "Of its runs: those that meet a condition, as in `list runs`.", flag="--where -w"),
    where: DeviceOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
    options: RunOptions,
) -> None:
    """Train a bundle's cells again in a fresh store, and say which figures agree: bit for bit, within the seeds' sd, or not.

    Exit code 1 when a figure does not agree or a cell failed. Called again, it resumes.
    """
    from harness.cli import listing
    from harness.runs.context import Context
    from harness.runs.reproduce import BITS, FAILED, NOT, SKIPPED, WITHIN
    from harness.runs.reproduce import reproduce as again
    from harness.store import Store
    from harness.system.devices import choose_device
    from harness.system.progress import progress

    fresh = Store(store or Path(f"{bundle.stem}-reproduced"))
    context = Context(device=choose_device(where.device), progress=progress, note=note)
    with _opened(bundle) as published:
        if fresh.root.exists() and published.root.exists() and fresh.root.samefile(published.root):
            raise RequestError("--store is what is to be reproduced; name another folder")
        chosen = {row["run_id"] for row in listing.runs(published.root, only) if row["status"] == "finished"}
        if not chosen:
            raise RequestError(f"no finished run in {bundle}{f' meets --where {only!r}' if only else ''}")
        found = []
        for one in again(
            published, fresh, plugins.variants(), only=chosen, digits=where.digits, options=options, context=context
        ):
            found.append(one)
            note(f"{one.variant} seed {one.seed}: {one.agrees}{f' ({one.reason})' if one.reason else ''}")
    counts = Counter(one.agrees for one in found)
    agrees = not counts[NOT] and not counts[FAILED]
    if as_json:
        emit({"reproduced": agrees, "counts": dict(counts), "runs": [asdict(one) for one in found]})
    else:
        rows = [
            [
                one.variant,
                str(one.seed),
                figure.metric,
                _text(figure.published),
                _text(figure.here),
                _text(figure.sd),
                figure.agrees,
            ]
            for one in found
            for figure in one.figures
        ]
        if rows:
            print_table(["arm", "seed", "metric", "published", "here", "sd over seeds", "agrees"], rows)
        words = [f"{counts[kind]} {kind}" for kind in (BITS, WITHIN, NOT, SKIPPED, FAILED) if counts[kind]]
        say(f"{len(found)} run{'s' if len(found) != 1 else ''}: {', '.join(words)}")
    if not agrees:
        raise typer.Exit(1)


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    """A bundle, checked and unpacked for a while, or the folder of a store."""
    from harness.store import Store
    from harness.store.bundle import unpacked

    if path.is_dir():
        yield Store(path)
    else:
        with unpacked(path) as (found, _):
            yield found


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
