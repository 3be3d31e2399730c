"""Writes a page into a folder: HTML, Markdown, and every table, plot and picture by itself."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError, RequestError
from harness.system import files
from reports.exports import parquet
from reports.exports.csv import data_to_csv, to_csv
from reports.exports.latex import to_latex
from reports.exports.markdown import to_markdown
from reports.exports.pdf import to_pdf
from reports.exports.text import clean
from reports.page import EXTENSIONS, ID, Page
from reports.pages.html import to_html

MANIFEST = "report-files.json"
"""Lists the files of the last report in a folder, so that the next one can remove those that it no longer writes."""

FOLDERS = ("tables", "figures", "pictures", "data")
"""The folders in a report's own, for what is shown on its page."""

MAX_MANIFEST_BYTES = 2**20
_OURS = re.compile(
    rf"index\.html|report\.(md|pdf)|methods\.md|data/{ID}\.(csv|parquet)|tables/{ID}\.(csv|tex)|figures/{ID}\.(svg|png|pdf)|pictures/{ID}\.(png|gif)"
)


def write(page: Page, out: Path, *, pdf: bool = False) -> list[Path]:
    """Writes the page and all that it shows into a folder, and returns the paths of the files, index.html first.

    A reader of the folder sees the old index.html or the new one, never a part. Files that an earlier report left here
    and that this one does not have are removed; files of others stay.

    Args:
        page: what to write.
        out: the folder; made if it is missing.
        pdf: print the page to report.pdf too.

    Raises:
        RequestError: `out` is a file, or there is nothing that prints.
        HarnessError: the page is malformed, `out` cannot be written, or holds a file of the same name that no report wrote,
            or a link in the place of one of its folders.
    """
    contents = _contents(page)
    if pdf:
        contents["report.pdf"] = to_pdf(contents["index.html"].decode())
    names = [*contents, MANIFEST]
    temporary: list[Path] = []
    try:
        check_folder(out)
        for part in FOLDERS:
            if (out / part).is_symlink():
                raise HarnessError(
                    f"cannot write the report to {out}: its {part} is a link, which may lead to files of others; remove the "
                    "link or choose another folder (--out)"
                )
        earlier = _manifest(out)
        for name in contents:
            if name not in earlier and (out / name).exists():
                raise HarnessError(
                    f"cannot write the report to {out}: no report wrote its {name}; move it away or choose another folder (--out)"
                )
        for folder in sorted({(out / name).parent for name in names}):
            folder.mkdir(parents=True, exist_ok=True)
        staged = [(_stage(out / name, content, temporary), out / name) for name, content in contents.items()]
        # Both reports' files are listed while either may be there, so that an interrupted run leaves nothing unlisted.
        _stage(out / MANIFEST, _listing({*earlier, *contents}), temporary).replace(out / MANIFEST)
        for source, target in reversed(staged):  # index.html comes first in contents and last into the folder
            source.replace(target)
        for name in earlier - contents.keys():
            with suppress(FileNotFoundError, NotADirectoryError):
                (out / name).unlink()
            with suppress(OSError):  # others' files are in it
                (out / name).parent.rmdir()
        _stage(out / MANIFEST, _listing(contents), temporary).replace(out / MANIFEST)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "make it writable"
        raise HarnessError(
            f"cannot write the report to {out}: {error.strerror or error}; {remedy} or choose another folder (--out)"
        ) from error
    finally:
        for path in temporary:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return [out / name for name in names]


def check_folder(out: Path) -> None:
    """Raises RequestError when `out` is a file."""
    if out.exists() and not out.is_dir():
        raise RequestError(f"cannot write the report to {out}: it is a file; remove it or choose another folder (--out)")


def _contents(page: Page) -> dict[str, bytes]:
    """File name, relative to the report's folder -> what is in it. index.html comes first."""
    contents = {"index.html": to_html(page).encode(), "report.md": to_markdown(page).encode()}
    for table in page.tables:
        contents[f"tables/{table.id}.csv"] = to_csv(table).encode()
        contents[f"tables/{table.id}.tex"] = to_latex(table).encode()
    for figure in page.figures:
        contents[f"figures/{figure.id}.svg"] = clean(figure.svg).encode()
        contents[f"figures/{figure.id}.png"] = figure.png
        if figure.pdf:
            contents[f"figures/{figure.id}.pdf"] = figure.pdf
    for picture in page.pictures:
        contents[f"pictures/{picture.id}.{EXTENSIONS[picture.mime]}"] = picture.content
    for data in page.data:
        contents[f"data/{data.id}.csv"] = data_to_csv(data).encode()
        if parquet.available():
            contents[f"data/{data.id}.parquet"] = parquet.data_to_parquet(data)
    if page.paper is not None:
        contents["tables/paper.tex"] = to_latex(page.paper.table, narrow=True).encode()
        contents["methods.md"] = clean("\n\n".join(page.paper.methods)).encode() + b"\n"
    return contents


def _manifest(out: Path) -> set[str]:
    """The files that the last report wrote to `out`. Names that no report writes are ignored: a listing may be damaged."""
    try:
        path = out / MANIFEST
        if not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
            return set()
        listed = json.loads(path.read_bytes())["files"]
        return {name for name in listed if isinstance(name, str) and _OURS.fullmatch(name)}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return set()


def _listing(names: Iterable[str]) -> bytes:
    return (json.dumps({"files": sorted(names)}, indent=1) + "\n").encode()


def _stage(target: Path, content: bytes, temporary: list[Path]) -> Path:
    """Writes a file beside its target under a name of its own, and to disk."""
    path = files.stage(target, content)
    temporary.append(path)
    return path
