"""From the words of `harness study` to studies that are run, confirmed and written down."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.executors.processes import Processes
from harness.executors.protocol import Executors
from harness.options import RunOptions
from harness.registry import Plugins
from harness.runs.request import Request
from harness.store import Store
from harness.study import Study
from harness.system.secrets import public_url, redact
from harness.tuning.cells import StoreCells
from harness.tuning.confirm import confirm, statistics
from harness.tuning.database import FOLDER, ensure_whole
from harness.tuning.search import Plan, Search
from harness.tuning.storage import Storage, open_storage
from harness.variant import Variants

GROUP = "harness.studies"
_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """What the user asked for; see `harness study --help`. `words` is the command line as it was typed."""

    study: str
    variant: str
    request: Request
    each: bool = False
    trials: int = 20
    timeout: float | None = None
    seeds_per_trial: int = 1
    sampler: str = "tpe"
    pruner: str = "median"
    objectives: tuple[str, ...] = ("ssim",)
    study_options: frozenset[str] = frozenset()
    confirm: int | None = None
    max_failures: int = 5
    workers: int = 1
    threads: int = 0
    storage: str | None = None
    study_name: str | None = None
    plugins: tuple[Path, ...] = ()
    third_party: bool = True
    options: RunOptions = RunOptions()
    words: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command line without secrets."""
        url = self.storage
        return shlex.join(redact(word.replace(url, public_url(url)) if url else word) for word in self.words)


def run_study(
    asked: StudyRequest, store: Store, note: Callable[[str], None], executors: Executors = Processes
) -> dict[str, Any]:
    """Runs the study, or one for each variant; returns the document of `harness study --json`.

    Raises RequestError, HarnessError or Interrupted, and loses nothing that was finished.
    """
    study: Study = Plugins(GROUP, Study, files=asked.plugins, third_party=asked.third_party).get(asked.study)
    variants = Variants(files=asked.plugins, third_party=asked.third_party)
    if asked.workers < 0:
        raise RequestError(f"--workers {asked.workers}; at least 1 is needed")
    if asked.confirm is not None and asked.confirm < 1:
        raise RequestError(f"--confirm {asked.confirm}; give at least 1 seed (3 for a verdict)")
    if asked.study_name is not None and (asked.each or not _STUDY_NAME.fullmatch(asked.study_name)):
        why = "--each makes one a variant" if asked.each else "use letters, digits, '.', '_', '+' and '-', at most 100"
        raise RequestError(f"--study-name {asked.study_name!r}; {why}")
    names = (
        [plugin.name for plugin in variants if plugin.error is None]
        if asked.each
        else [variants.compose(asked.variant).name]
    )
    plans = [_plan(asked, study, name) for name in names]
    for name in names:
        for path in sorted({*variants.compose(name).changes} & {*study.owns}):
            raise RequestError(
                f"variant {name!r} changes {path}, which the study {study.name!r} searches; tune another variant"
            )
    compare = statistics(asked.third_party) if asked.confirm is not None else None
    cells = {name: _cells(asked, store, variants, name) for name in names}
    starts = {name: one.experiment() for name, one in cells.items()}
    documents = []
    if asked.storage is None:
        ensure_whole(store, note)
    folder = store.part(FOLDER)
    with closing(open_storage(asked.storage, folder)) as storage, closing(executors(asked.workers)) as executor:
        searches = [Search(plan, store, storage, cells[plan.variant], starts[plan.variant], note) for plan in plans]
        for search in searches:
            if asked.each:
                note(f"tuning {search.plan.variant}: {search.plan.trials} trials")
            search.run(executor)
            if asked.confirm is not None and compare is not None:
                search.confirmed = confirm(search, asked.confirm, executor, compare)
            documents.append(document(search.save(newest=not asked.each)))
    return {"name": study.name, "each": documents} if asked.each else documents[0]


def _plan(asked: StudyRequest, study: Study, variant: str) -> Plan:
    return Plan(
        study=study,
        variant=variant,
        request=asked.request,
        trials=asked.trials,
        timeout=asked.timeout,
        seeds_per_trial=asked.seeds_per_trial,
        sampler=asked.sampler,
        pruner=asked.pruner,
        objectives=asked.objectives,
        options=asked.study_options,
        max_failures=asked.max_failures,
        study_name=asked.study_name,
        command=asked.command,
    )


def _cells(asked: StudyRequest, store: Store, variants: Variants, variant: str) -> StoreCells:
    return StoreCells(
        request=asked.request,
        variant=variant,
        store=store,
        variants=variants,
        plugins=asked.plugins,
        third_party=asked.third_party,
        options=asked.options,
        workers=asked.workers,
        threads=asked.threads,
    )


def document(record: dict[str, Any]) -> dict[str, Any]:
    """What `--json` prints, from a study's record."""
    kept = (
        "id",
        "variant",
        "preset",
        "objectives",
        "directions",
        "seeds",
        "counts",
        "wanted",
        "trials",
        "best",
        "arms",
        "front",
    )
    return {"name": record["study"]} | {name: record[name] for name in (*kept, "confirm")}


def serve_dashboard(store: Store, url: str | None, port: int, note: Callable[[str], None]) -> None:
    """Serves optuna-dashboard on this machine until it is interrupted. Raises RequestError when it is not installed."""
    try:
        from optuna_dashboard import run_server
    except ImportError:
        raise RequestError("--dashboard needs optuna-dashboard; pip install 'ablation-harness[dashboard]'") from None
    storage: Storage = open_storage(url, store.part(FOLDER))
    note(f"dashboard of {storage.shown} on http://127.0.0.1:{port}/ (Ctrl-C ends it)")
    try:
        run_server(storage.optuna, host="127.0.0.1", port=port)
    except OSError as error:
        raise HarnessError(f"cannot serve on port {port}: {error.strerror or error}; choose another with --port") from None
