"""`harness frame`: a store as tidy tables for pandas, DuckDB or R."""

from __future__ import annotations

from pathlib import Path

from harness.cli.options import JsonOption, StoreOptions, expand_options
from harness.errors import HarnessError, RequestError, unknown
from harness.options import option
from harness.system.console import emit, note, say

FORMATS = ("parquet", "csv")


@expand_options
def frame(
    *,
    out: Path | None = option(None, "Folder to write. Default: frames/ in the store.", flag="--out -o"),
    format: str = option("parquet", "parquet (needs the extra 'parquet') or csv."),
    where: str = option("", "Only runs that meet a condition, as in `list runs`.", flag="--where -w"),
    stored: StoreOptions,
    as_json: JsonOption = False,
) -> None:
    """Write runs, metrics, metrics by frame, validation curves and comparisons as tidy tables, a file each."""
    from harness.cli import listing
    from harness.library import open_store
    from harness.results import Results
    from harness.store import frames
    from harness.system import files
    from harness.system.garbage import uncollected

    if format not in FORMATS:
        raise unknown("format", format, FORMATS, label="choices")
    if format == "parquet" and not frames.available():
        raise RequestError("Parquet needs pyarrow: pip install 'ablation-harness[parquet]', or choose --format csv")
    store = stored.open()
    with uncollected():
        found = open_store(store.root)
    if where:
        chosen = {row["run_id"] for row in listing.runs(store.root, where)}
        found = Results([one for one in found if one.run_id in chosen])
    if not found:
        which = (
            f" meets --where {where!r}; `harness list runs` shows what there is"
            if where
            else "; `harness ablate` makes some"
        )
        raise RequestError(f"no finished run in {store.root}{which}")
    folder = out or store.root / "frames"
    if out is None and folder.is_symlink():
        raise RequestError(f"{folder} is a link, which may lead out of the store; remove it, or name the folder with --out")
    written: dict[str, dict[str, object]] = {}
    for what in frames.WHAT:
        try:
            with uncollected():
                table = found.frame(what)
        except HarnessError as error:
            note(f"no {what}: {error}")
            continue
        path = folder / f"{what}.{format}"
        try:
            files.write(path, frames.parquet(table) if format == "parquet" else table.to_csv(index=False).encode())
        except OSError as error:
            raise HarnessError(f"cannot write {path}: {error.strerror or error}; choose another folder (--out)") from error
        written[what] = {"path": str(path), "rows": len(table), "columns": list(map(str, table.columns))}
    if as_json:
        emit({"frames": written})
    else:
        for what, one in written.items():
            say(f"{one['path']}: {one['rows']:,} rows of {what}")
