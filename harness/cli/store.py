"""`harness store`: merge stores, take a plan's results to another machine as one file, and keep finished runs in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import JsonOption, StoreOptions, expand_options
from harness.options import option
from harness.system.console import emit, note, say

if TYPE_CHECKING:
    from harness.store.merge import Merged
    from harness.store.packing import Done


@expand_options
def merge(
    *,
    into: Annotated[Path, typer.Argument(help="The store that gets what it lacks; made if it is missing.")],
    other: Annotated[Path, typer.Argument(help="The store to copy from; only read.")],
    as_json: JsonOption = False,
) -> None:
    """Copy finished runs, trainings and plans of another store into one; nothing is overwritten."""
    from harness.store import Store, store_root
    from harness.store import merge as merging

    _print({}, merging.merge(Store(store_root(into)), Store(other)), as_json)


@expand_options
def export(
    *,
    plan: str = option("", "The plan's key, or its first digits. Default: the only one."),
    out: Path = option(Path("results.zip"), "The file to write.", flag="--out -o"),
    weights: bool = option(False, "With the checkpoints that were tested: larger, and needed to predict with them."),
    stored: StoreOptions,
    as_json: JsonOption = False,
) -> None:
    """Write a plan's finished runs to one file with a manifest of digests."""
    from harness.store.bundle import export_bundle, plan_name

    store = stored.open()
    made = export_bundle(store, plan_name(store, plan), out, weights=weights)
    document = {"path": str(made.path), "plan": made.plan, "digest": made.digest, "runs": made.runs}
    document |= {"files": made.files, "bytes": made.bytes, "weights": weights}
    if as_json:
        emit(document)
    else:
        say(f"{made.path}: {made.runs} runs of plan {made.plan}, {made.files} files, {made.bytes:,} bytes unpacked")
        say(
            f"digest {made.digest}    # publish it beside the file: harness store import {made.path} --digest {made.digest[:16]}"
        )


@expand_options
def import_(
    *,
    bundle: Annotated[Path, typer.Argument(help="A file of `harness store export`.")],
    digest: str = option("", "The digest that its author published, or its first digits."),
    stored: StoreOptions,
    as_json: JsonOption = False,
) -> None:
    """Check every digest of an exported file, and add its records to the store; a changed file is refused."""
    from harness.store.bundle import import_bundle

    found, merged = import_bundle(stored.open(), bundle, digest)
    if not digest:
        note(f"digest {found.digest}; compare it with the one that was published, or name that with --digest")
    _print({"digest": found.digest, "plan": found.plan}, merged, as_json)


@expand_options
def pack(*, stored: StoreOptions, as_json: JsonOption = False) -> None:
    """Move finished runs and trainings into one file of the store; everything reads them there."""
    from harness.store.packing import pack as packed

    _say("packed", packed(stored.open()), as_json)


@expand_options
def unpack(*, stored: StoreOptions, as_json: JsonOption = False) -> None:
    """Bring packed runs and trainings back into folders of their own."""
    from harness.store.packing import unpack as unpacked

    _say("brought back", unpacked(stored.open()), as_json)


def _say(what: str, done: Done, as_json: bool) -> None:
    document: dict[str, Any] = {"runs": done.runs, "trainings": done.trainings, "files": done.files}
    document |= {"path": None if done.path is None else str(done.path), "left": done.left}
    if as_json:
        emit(document)
        return
    place = "" if done.path is None else f": {done.files:,} files in {done.path}"
    say(f"{done.runs:,} runs and {done.trainings:,} trainings {what}{place}; {len(done.left):,} left")
    for where, reason in done.left.items():
        note(f"{where}: {reason}")


def _print(document: dict[str, Any], done: Merged, as_json: bool) -> None:
    document |= {"copied": done.copied, "same": done.same, "kept": done.kept, "left": done.left}
    if as_json:
        emit(document)
        return
    say(
        f"runs, trainings and plans: {len(done.copied)} copied, {len(done.same)} were there, {len(done.kept)} differ, "
        f"{len(done.left)} left"
    )
    for where in done.kept:
        note(f"{where}: the stores have different results; this store's was kept (harness compare tells noise from change)")
    for where, reason in done.left.items():
        note(f"{where}: {reason}")
