"""`harness study`: search settings with Optuna."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from harness.cli.options import DeviceOptions, JsonOption, PluginOptions, RequestOptions, StoreOptions, expand_options
from harness.cli.printing import figure
from harness.options import ExecutorOptions, RunOptions, option
from harness.system.console import emit, note, print_table, say


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How to search: fields of StudyRequest."""

    variant: str = option("base", "A variant, or several joined by '+'.", flag="--variant -v")
    each: bool = option(False, "Tune every installed variant, with the same number of trials each.")
    trials: int = option(20, "Finished and pruned trials in total, across interruptions.")
    timeout: float | None = option(None, "Save and stop after this many seconds.")
    seeds_per_trial: int = option(1, "Seeds to average per trial; with 4 or more, bad trials are pruned between seeds.")
    sampler: str = option("tpe", "tpe (few, noisy trials), gp (fewer trials, slower), cmaes (50 trials or more) or random.")
    pruner: str = option("median", "median (from half of a training, after 5 trials), hyperband (tens of trials) or none.")
    confirm: int | None = option(None, "Test the best setting and the fixed arms on this many new seeds.")
    max_failures: int = option(5, "Stop when this many trials in a row fail.")
    study_name: str | None = option(None, "Name in the storage. Default: made from the request.")


@expand_options
def study(
    *,
    name: Annotated[
        str, typer.Argument(help="A study (see `list studies`): loss-weights, learning-rate, or another package's.")
    ],
    search: SearchOptions,
    objectives: str = option("ssim", "ssim, or ssim,seconds for a Pareto front (no pruning)."),
    study_options: list[str] | None = option(None, "An option of the study, such as l1; may be repeated.", flag="--with"),
    storage: str | None = option(
        None, "Optuna storage: postgresql+psycopg://..., sqlite:///..., journal:FILE (env: HARNESS_STORAGE)."
    ),
    dashboard: bool = option(False, "Serve optuna-dashboard on the storage; run no trial."),
    port: int = option(8080, "Port of the dashboard."),
    asked: RequestOptions,
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
    executor: ExecutorOptions,
    options: RunOptions,
) -> None:
    """Search a study's settings by validation SSIM; continues where it was interrupted."""
    from harness.bench.sharing import share_machine
    from harness.executors.resources import executors, resolve_resources
    from harness.hooks import find_hooks
    from harness.tuning.command import find_study, run_study, serve_dashboard
    from harness.tuning.request import StudyRequest

    store = stored.open()
    storage = storage or os.environ.get("HARNESS_STORAGE") or None
    if dashboard:
        serve_dashboard(store, storage, port, note)
        return
    resources = resolve_resources(executor, where.device)
    start, wanted = (
        asked.request(resources.device, where.digits, store.root),
        tuple(one.strip() for one in objectives.split(",")),
    )
    request = StudyRequest(
        **vars(search),
        study=name,
        objectives=wanted,
        study_options=frozenset(study_options or ()),
        storage=storage,
        request=start,
        plugins=plugins.files,
        third_party=not plugins.no_plugins,
        options=options,
        workers=resources.workers,
        threads=resources.threads,
        words=("harness", *sys.argv[1:]),
    )
    find_study(request)  # what is wrong is refused before anything runs
    find_hooks(options.hooks or ())
    if "seconds" not in wanted:  # a trial's time must not depend on what ran beside it
        base = start.cell(plugins.variants(), "base", 0)[0].experiment
        if share := share_machine(executor, resources.device, base, search.trials, start.digits, note):
            request = replace(request, workers=share.workers, threads=share.threads)
    document = run_study(request, store, note, executors(resources, store.root, note))
    if as_json:
        emit(document)
    else:
        for one in document.get("each", [document]):
            print_study(one)


def print_study(document: dict[str, Any]) -> None:
    """A study's trials, the best of them and the arms."""
    rows = []
    for trial in document["trials"]:
        params = " ".join(
            f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in trial["params"].items()
        )
        rows.append([str(trial["number"]), trial["arm"] or "", params, trial["state"].lower(), figure(trial["value"], 4)])
    say(f"{document['name']} of {document['variant']}, preset {document['preset']}")
    print_table(["trial", "arm", "settings", "state", "validation SSIM"], rows)
    for trial in document["trials"]:
        if trial["error"]:
            note(f"trial {trial['number']}: {trial['error']}")
    if (best := document["best"]) is None:
        say("no trial has finished yet")
        return
    say(f"best: trial {best['number']}, validation SSIM {figure(best['value'], 4)}; written to {best['config']}")
    if document["front"]:
        say(f"Pareto front of SSIM and seconds: trials {', '.join(map(str, document['front']))}")
    if (confirmed := document["confirm"]) is not None:
        seeds = [str(seed) for seed in confirmed["seeds"]]
        print_table(
            ["test SSIM by seed", *seeds, "mean"],
            [
                [row["name"], *(figure(row["values"][seed], 4) for seed in seeds), figure(row["mean"], 4)]
                for row in confirmed["rows"]
            ],
        )
        say(confirmed["verdict"])
