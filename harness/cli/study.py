"""`harness study`: search settings with Optuna."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from harness.cli.options import (
    DeviceOptions,
    JsonOption,
    PluginOptions,
    RequestOptions,
    StoreOptions,
    VariantOption,
    expand_options,
)
from harness.cli.printing import emit, figure, note, print_table, say
from harness.options import ExecutorOptions, RunOptions


@expand_options
def study(
    *,
    name: Annotated[
        str, typer.Argument(help="A study (see `list studies`): loss-weights, learning-rate, or another package's.")
    ],
    variant: VariantOption = "base",
    each: Annotated[
        bool, typer.Option("--each", help="Tune every installed variant, with the same number of trials each.")
    ] = False,
    trials: Annotated[int, typer.Option("--trials", help="Finished and pruned trials in total, across interruptions.")] = 20,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Save and stop after this many seconds.")] = None,
    seeds_per_trial: Annotated[
        int,
        typer.Option(
            "--seeds-per-trial", help="Seeds to average per trial; with 4 or more, bad trials are pruned between seeds."
        ),
    ] = 1,
    sampler: Annotated[
        str,
        typer.Option(
            "--sampler", help="tpe (few, noisy trials), gp (fewer trials, slower), cmaes (50 trials or more) or random."
        ),
    ] = "tpe",
    pruner: Annotated[
        str,
        typer.Option(
            "--pruner", help="median (from half of a training, after 5 trials), hyperband (tens of trials) or none."
        ),
    ] = "median",
    objectives: Annotated[
        str, typer.Option("--objectives", help="ssim, or ssim,seconds for a Pareto front (no pruning).")
    ] = "ssim",
    option: Annotated[
        list[str] | None, typer.Option("--with", help="An option of the study, such as l1; may be repeated.")
    ] = None,
    confirm: Annotated[
        int | None, typer.Option("--confirm", help="Test the best setting and the fixed arms on this many new seeds.")
    ] = None,
    max_failures: Annotated[int, typer.Option("--max-failures", help="Stop when this many trials in a row fail.")] = 5,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            envvar="HARNESS_STORAGE",
            show_envvar=False,
            help="Optuna storage: postgresql+psycopg://..., sqlite:///..., journal:FILE (env: HARNESS_STORAGE).",
        ),
    ] = None,
    study_name: Annotated[
        str | None, typer.Option("--study-name", help="Name in the storage. Default: made from the request.")
    ] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve optuna-dashboard on the storage; run no trial.")
    ] = False,
    port: Annotated[int, typer.Option("--port", help="Port of the dashboard.")] = 8080,
    asked: RequestOptions,
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
    executor: ExecutorOptions,
    options: RunOptions,
) -> None:
    """Search a study's settings by validation SSIM; continues where it was interrupted."""
    from harness.executors.resources import executors, resolve_resources
    from harness.tuning.command import StudyRequest, run_study, serve_dashboard

    store = stored.open()
    if dashboard:
        serve_dashboard(store, storage, port, note)
        return
    resources = resolve_resources(executor, where.device)
    request = StudyRequest(
        study=name,
        variant=variant,
        each=each,
        trials=trials,
        timeout=timeout,
        seeds_per_trial=seeds_per_trial,
        sampler=sampler,
        pruner=pruner,
        objectives=tuple(one.strip() for one in objectives.split(",")),
        study_options=frozenset(option or ()),
        confirm=confirm,
        max_failures=max_failures,
        workers=resources.workers,
        threads=resources.threads,
        storage=storage,
        study_name=study_name,
        request=asked.request(resources.device, where.digits),
        plugins=plugins.files,
        third_party=not plugins.no_plugins,
        options=options,
        words=("harness", *sys.argv[1:]),
    )
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
