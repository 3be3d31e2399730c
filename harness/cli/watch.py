"""`harness watch`: follow a plan that runs anywhere, from what is in its store."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import JsonOption, StoreOptions, expand_options
from harness.options import option
from harness.system.console import emit, note, say

PORT = 8787


@expand_options
def watch(
    *,
    plan: Annotated[str | None, typer.Argument(help="A plan's digest, or its first digits. Default: the last one.")] = None,
    stored: StoreOptions,
    out: Path | None = option(None, "Write the page to this file until the plan is over, instead of serving it."),
    port: int = option(PORT, "The port on localhost; 0 for a free one.", at_least=0),
    as_json: JsonOption = False,
) -> None:
    """Follow a plan: a table here, and a page on localhost or in a file that refreshes. Ctrl-C ends it; the plan runs on."""
    from harness.watching.board import Reader, find_plan
    from harness.watching.follow import PAGE_EVERY, shown, write_page
    from harness.watching.server import make_server

    store = stored.open()
    reader = Reader(store, find_plan(store, plan))
    if as_json:
        emit(reader.read().record())
        return
    try:
        if out is not None:
            note(f"writing {out} every {PAGE_EVERY:g} s until the plan is over; Ctrl-C ends it")
            with shown(reader):
                while not write_page(reader.read, out).over:
                    time.sleep(PAGE_EVERY)
        else:
            with make_server(reader, port) as server:
                say(f"http://localhost:{server.server_address[1]}/")
                sys.stdout.flush()
                threading.Thread(target=server.serve_forever, daemon=True).start()
                with shown(reader):
                    threading.Event().wait()
    except KeyboardInterrupt:
        note(reader.read().summary)
