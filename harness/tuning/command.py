"""What `harness study` does: runs the studies that are asked for, confirms them and writes their records."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.executors.processes import Processes
from harness.executors.protocol import Executors
from harness.registry import Plugins
from harness.store import Store
from harness.studies import Study
from harness.tuning.cells import StoreCells
from harness.tuning.confirm import confirm, statistics
from harness.tuning.database import FOLDER, NAME, ensure_whole
from harness.tuning.request import StudyRequest
from harness.tuning.search import Search
from harness.tuning.storage import Storage, open_storage
from harness.variant import Variants

GROUP = "harness.studies"


def find_study(asked: StudyRequest) -> Study:
    """The study of that name. Raises RequestError when there is none, or it fails to load."""
    found: Study = Plugins(GROUP, Study, files=asked.plugins, third_party=asked.third_party).get(asked.study)
    return found


def run_study(
    asked: StudyRequest,
    store: Store,
    note: Callable[[str], None],
    executors: Executors = Processes,
    variants: Variants | None = None,
) -> dict[str, Any]:
    """Runs the study, or one for each variant; returns the document of `harness study --json`.

    Raises RequestError, HarnessError or Interrupted, and loses nothing that was finished.
    """
    study = find_study(asked)
    variants = variants or Variants(files=asked.plugins, third_party=asked.third_party)
    names = (
        [plugin.name for plugin in variants if plugin.error is None]
        if asked.each
        else [variants.compose(asked.variant).name]
    )
    for name in names:
        for path in sorted({*variants.compose(name).changes} & {*study.owns}):
            raise RequestError(
                f"variant {name!r} changes {path}, which the study {study.name!r} searches; tune another variant"
            )
    compare = statistics(asked.third_party) if asked.confirm is not None else None
    cells = {name: StoreCells(asked, name, store, variants) for name in names}
    starts = {name: one.experiment() for name, one in cells.items()}
    if text := cells[names[0]].text:
        note(text)
    documents = []
    if asked.storage is None:
        ensure_whole(store, note)
    with closing(_opened(asked.storage, store)) as storage, closing(executors(asked.workers)) as executor:
        searches = [
            Search(replace(asked, variant=name), study, store, storage, cells[name], starts[name], note) for name in names
        ]
        for search in searches:
            if asked.each:
                note(f"tuning {search.asked.variant}: {asked.trials} trials")
            search.run(executor)
            if asked.confirm is not None and compare is not None:
                search.written.confirmed = confirm(search, asked.confirm, executor, compare)
            documents.append(document(search.save(newest=not asked.each)))
    return {"name": study.name, "each": documents} if asked.each else documents[0]


def _opened(url: str | None, store: Store) -> Storage:
    """The storage. Optuna makes the tables of a new one without a lock, so of a store's processes one at a time opens it."""
    with store.lock(NAME):
        return open_storage(url, store.part(FOLDER))


def document(record: dict[str, Any]) -> dict[str, Any]:
    """What `--json` prints, from a study's record."""
    kept = "id variant preset objectives directions seeds counts wanted trials best arms front confirm"
    return {"name": record["study"]} | {name: record[name] for name in kept.split()}


def serve_dashboard(store: Store, url: str | None, port: int, note: Callable[[str], None]) -> None:
    """Serves optuna-dashboard on this machine until it is interrupted. Raises RequestError when it is not installed."""
    try:
        from optuna_dashboard import run_server
    except ImportError:
        raise RequestError("--dashboard needs optuna-dashboard; pip install 'ablation-harness[dashboard]'") from None
    storage: Storage = _opened(url, store)
    note(f"dashboard of {storage.shown} on http://127.0.0.1:{port}/ (Ctrl-C ends it)")
    try:
        run_server(storage.optuna, host="127.0.0.1", port=port)
    except OSError as error:
        raise HarnessError(f"cannot serve on port {port}: {error.strerror or error}; choose another with --port") from None
