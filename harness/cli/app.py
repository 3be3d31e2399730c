"""The command line: parse, call, print. One JSON document on stdout with --json; progress and messages go to stderr.

Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 or 143 interrupted by Ctrl-C or SIGTERM (state saved).
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from harness.cli import ablate, bench, compare, data, doctor, predict, report, run, show, study
from harness.cli import list as listed
from harness.errors import HarnessError, Interrupted, RequestError
from harness.system import signals
from harness.system.console import note

app = typer.Typer(
    name="harness",
    help="Ablation benchmarks for spatiotemporal prediction: which idea helps, by how much, at what cost, how surely.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run.run)
app.command()(ablate.ablate)
app.command("list")(listed.list_)
app.command()(show.show)
app.command()(predict.predict)
app.command()(report.report)
app.command()(compare.compare)
app.command()(bench.bench)
app.command()(study.study)
app.command()(doctor.doctor)

data_app = typer.Typer(help="Fetch and verify the digits.", no_args_is_help=True)
data_app.command()(data.fetch)
data_app.command()(data.verify)
app.add_typer(data_app, name="data")

VariantOption = Annotated[str, typer.Option("--variant", "-v", help="A variant, or several joined by '+'.")]
PresetOption = Annotated[str | None, typer.Option("--preset", "-p", help="cpu, paper or tiny; by the device if not given.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", "-s", help="A setting, path=value; may be repeated.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="A TOML file of settings.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
DigitsOption = Annotated[Path | None, typer.Option("--digits", help="Folder of MNIST IDX files [env: HARNESS_DIGITS].")]
StoreOption = Annotated[Path | None, typer.Option("--store", help="The run store [env: HARNESS_STORE; default: artifacts].")]
PluginOption = Annotated[list[Path] | None, typer.Option("--plugin", help="A Python file with variants; may be repeated.")]
NoPluginsOption = Annotated[bool, typer.Option("--no-plugins", help="Leave out variants of other packages.")]
MarginOption = Annotated[
    float | None, typer.Option("--margin", help="Smallest SSIM difference of interest; the report's default if not given.")
]
AutoBatchOption = Annotated[
    bool,
    typer.Option("--auto-batch", help="When memory runs out, train, validate and test on smaller parts of the same batch."),
]
NoGraphsOption = Annotated[bool, typer.Option("--no-graphs", help="On a GPU, launch every kernel by itself.")]
ExecutorOption = Annotated[
    str, typer.Option("--executor", help="Where cells run: processes (of this machine), ray or slurm; see docs/cluster.md.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", help="Cells at once: 1 if not given; on Ray what the cluster holds, on SLURM 8.")
]
CpusOption = Annotated[
    float | None,
    typer.Option("--cpus-per-cell", help="CPUs, and threads, of a cell: 1 on a cluster, here a share of the cores."),
]
GpusOption = Annotated[
    float | None,
    typer.Option("--gpus-per-cell", help="GPU of a cell on a cluster: 1, 0, or on Ray a fraction that is shared."),
]
RayAddressOption = Annotated[
    str | None, typer.Option("--ray-address", help="HOST:PORT of a Ray cluster, or auto; Ray is started here if not given.")
]
SlurmOption = Annotated[
    str | None, typer.Option("--slurm", help="What sbatch is asked for, such as partition=gpu,time=120 (minutes).")
]
SaveEveryOption = Annotated[
    float,
    typer.Option("--save-every", min=0, help="Seconds between checkpoints: what a crash may cost, and what is written."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def _variants(plugins: list[Path] | None, no_plugins: bool) -> Variants:
    from harness.registry import Variants

    return Variants(files=plugins or (), third_party=not no_plugins)


def _request(
    preset: str | None,
    device: str,
    digits: Path | None,
    settings: list[str] | None,
    config: Path | None,
    where: Resources | None = None,
) -> Request:
    from harness.runs.request import Request, parse_settings, read_config
    from harness.system.devices import choose_device

    chosen = where.device if where else choose_device(device)
    if preset is None:
        preset = "paper" if chosen.startswith("cuda") else "cpu"
        note(f"preset {preset} ({'a GPU is there' if preset == 'paper' else 'no GPU is used'}; --preset chooses another)")
    return Request(
        preset=preset,
        device=chosen,
        digits=digits,
        settings=parse_settings(settings or []),
        config=read_config(config) if config else None,
    )


@app.command()
def run(
    variant: VariantOption = "base",
    preset: PresetOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of weights and training sequences.")] = None,
    settings: SetOption = None,
    config: ConfigOption = None,
    device: DeviceOption = "auto",
    digits: DigitsOption = None,
    store: StoreOption = None,
    plugin: PluginOption = None,
    no_plugins: NoPluginsOption = False,
    deterministic: Annotated[bool, typer.Option(help="Use deterministic algorithms only (slower on a GPU).")] = False,
    force: Annotated[bool, typer.Option("--force", help="Train anew; the old run is kept.")] = False,
    auto_batch: AutoBatchOption = False,
    no_graphs: NoGraphsOption = False,
    reference: Annotated[
        bool,
        typer.Option("--reference", help="Train with the plain reading of the equations, to check the fast path (slow)."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Resolve and count, train nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train and test one variant, or answer from the store when it is finished."""
    from harness.cli.progress import progress
    from harness.runs.execute import Options, assist, finished, run_cell
    from harness.runs.request import store_root
    from harness.store.store import DamagedRecord, Store, validated
    from harness.training.distributed import from_environment, local_device

    request = _request(preset, local_device(device), digits, settings, config)
    cell, source = request.cell(_variants(plugin, no_plugins), variant, seed)
    if dry_run:
        from harness.evaluation.cost import cost

        planned = cell.record() | cost(cell.experiment, source) | {"digits": source.digits}
        emit(planned) if as_json else print_dry_run(planned)
        return
    where = Store(store_root(store))
    with from_environment(request.device) as distributed:
        options = Options(
            device=request.device,
            digits=digits,
            deterministic=deterministic,
            force=force,
            auto_batch=auto_batch,
            graphs=not no_graphs,
            reference=reference,
            distributed=distributed,
            progress=progress,
            note=note,
        )
        if not distributed.is_main:
            try:
                assist(cell, where, source, options)
            except HarnessError as error:  # rank 0 says it
                raise typer.Exit(error.exit_code) from None
            return
        outcome = None
        with suppress(DamagedRecord):  # `run_cell` sets it aside
            outcome = None if force or distributed.count > 1 else finished(where, cell)
        if outcome is None:
            outcome = run_cell(cell, where, source, options)
    record = outcome.record()
    if as_json:
        emit(record)
    else:
        with validated(outcome.path) if outcome.cached else nullcontext():
            print_result(record)


@app.command()
def ablate(
    plan: Annotated[
        str,
        typer.Option("--plan", help="add-one, leave-one-out, factorial, a-a, or compositions: base,attention,residual+tta."),
    ] = "add-one",
    variants: Annotated[
        str | None, typer.Option("--variants", help="The plan's variants, separated by commas; all installed if not given.")
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="How many seeds (5), or a list of them (0,3,7).")] = "3",
    match: Annotated[str, typer.Option("--match", help="Give every variant base's steps, seconds or flops.")] = "steps",
    preset: PresetOption = None,
    settings: SetOption = None,
    config: ConfigOption = None,
    device: DeviceOption = "auto",
    digits: DigitsOption = None,
    store: StoreOption = None,
    plugin: PluginOption = None,
    no_plugins: NoPluginsOption = False,
    deterministic: Annotated[bool, typer.Option(help="Use deterministic algorithms only (slower on a GPU).")] = False,
    auto_batch: AutoBatchOption = False,
    no_graphs: NoGraphsOption = False,
    save_every: SaveEveryOption = 30.0,
    executor: ExecutorOption = "processes",
    workers: WorkersOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = None,
    ray_address: RayAddressOption = None,
    slurm: SlurmOption = None,
    retries: Annotated[int, typer.Option("--retries", help="How often a failed cell is tried again.")] = 1,
    max_hours: Annotated[float | None, typer.Option("--max-hours", help="Stop cleanly after this time.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the cells and what they will take; train nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run an ablation plan: variants times seeds. What the store has is not trained again."""
    import shlex

    from harness.ablation.plan import parse_seeds
    from harness.ablation.runner import Ablation, Runner
    from harness.executors.factory import executors
    from harness.executors.resources import resolve_resources
    from harness.runs.request import store_root
    from harness.store.store import Store
    from harness.system.secrets import redact

    where = resolve_resources(
        executor, workers=workers, cpus=cpus, gpus=gpus, device=device, ray_address=ray_address, slurm=slurm
    )
    request = _request(preset, device, digits, settings, config, where)
    names = variants.split(",") if variants else _variants(plugin, no_plugins).names
    ablation = Ablation(
        plan=plan,
        variants=tuple(name.strip() for name in names if name.strip()),
        seeds=parse_seeds(seeds),
        request=request,
        match=match,
        plugins=tuple(plugin or ()),
        third_party=not no_plugins,
        deterministic=deterministic,
        auto_batch=auto_batch,
        graphs=not no_graphs,
        workers=where.workers,
        threads=where.threads,
        save_every=save_every,
        retries=retries,
        max_hours=max_hours,
        command=redact(shlex.join(["harness", *sys.argv[1:]])),
    )
    root = store_root(store)
    runner = Runner(ablation, Store(root), note, executors(where, root, note))
    rows = runner.prepare() if dry_run else runner.run()
    document: dict[str, Any] = {
        "plan": plan,
        "match": match,
        "preset": request.preset,
        "cells": [row.record() for row in rows],
    }
    if dry_run:
        document["estimate"] = runner.estimate()
    if as_json:
        emit(document)
    else:
        print_plan(document)
    missing = sum(row.status != "finished" for row in rows)
    if missing and not dry_run:
        raise HarnessError(f"{missing} of {len(rows)} cells are missing; run the same command again to go on")


_WHY = ("error", "reason")


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="variants, studies, reports, presets, settings or runs.")] = "runs",
    store: StoreOption = None,
    plugin: PluginOption = None,
    no_plugins: NoPluginsOption = False,
    as_json: JsonOption = False,
) -> None:
    """List what is there: variants, studies, reports, presets, settings or runs."""
    from harness.cli import listing
    from harness.report import Report
    from harness.runs.request import store_root
    from harness.study import Study

    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "variants": lambda: listing.variants(_variants(plugin, no_plugins)),
        "studies": lambda: listing.plugins("harness.studies", Study, not no_plugins, plugin or ()),
        "reports": lambda: listing.plugins("harness.reports", Report, not no_plugins),
        "presets": listing.presets,
        "settings": listing.settings,
        "runs": lambda: listing.runs(store),
    }
    if what not in makers:
        raise unknown("list", what, makers, label="choices")
    rows = makers[what]()
    if as_json:
        emit({what: rows})
    elif not rows:
        say(f"no runs in {store_root(store)}" if what == "runs" else f"no {what}")
    else:
        names = dict.fromkeys(name for row in rows for name in row)
        columns = [name for name in names if any(row.get(name) not in (None, "", {}) for row in rows) and name not in _WHY]
        print_table(columns, [[listing.cell(row.get(name)) for name in columns] for row in rows])
        for row in rows:
            for why in filter(None, map(row.get, _WHY)):  # too long for a column
                note(f"{row.get('run_id') or row['name']}: {why}")


@app.command()
def show(
    run_id: Annotated[str, typer.Argument(help="A run's id, or its first digits.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: its result, experiment, environment and validation curve; of an unfinished one, what there is."""
    from harness.cli import listing
    from harness.runs.request import store_root
    from harness.store.store import Store, validated

    where = Store(store_root(store))
    with validated(where.root / "runs" / run_id):
        record = listing.run(where, run_id, note)
        emit(record) if as_json else print_run(record)


@app.command()
def predict(
    run_id: Annotated[str, typer.Argument(help="A run's id, or its first digits.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png strip or a .gif animation.")] = Path("sample.png"),
    index: Annotated[int, typer.Option("--index", "-i", help="Which test sequence.")] = 0,
    device: DeviceOption = "auto",
    digits: DigitsOption = None,
    store: StoreOption = None,
    plugin: PluginOption = None,
    no_plugins: NoPluginsOption = False,
) -> None:
    """Draw a run's prediction of one test sequence: input, truth, prediction, difference."""
    from harness.runs.request import store_root
    from harness.runs.sample import draw_run
    from harness.store.store import Store
    from harness.system.devices import choose_device

    where = Store(store_root(store))
    ssim = draw_run(where, where.find(run_id), _variants(plugin, no_plugins), out, index, choose_device(device), digits)
    say(f"{out}: test sequence {index}, SSIM {ssim:.3f}")


@app.command()
def report(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write to; the store's report/ if not given.")
    ] = None,
    name: Annotated[str, typer.Option("--report", help="Which report (see `list reports`).")] = "ablation",
    margin: MarginOption = None,
    store: StoreOption = None,
    plugin: PluginOption = None,
    no_plugins: NoPluginsOption = False,
) -> None:
    """Rebuild the tables from the store's records; trains nothing."""
    from harness.registry import Plugins
    from harness.report import Report
    from harness.runs.request import store_root
    from harness.store.store import Store

    builder: Report = Plugins("harness.reports", Report, third_party=not no_plugins).get(name)
    options = builder.options(builder.build, margin=margin)
    where = Store(store_root(store))
    if out is None and (out := where.root / "report").is_symlink():
        raise RequestError(f"{out} is a link, which may lead out of the store; remove it, or name the folder with --out")
    first, *others = builder.build(where, _variants(plugin, no_plugins), out, **options)
    say(str(first))
    note(f"and {len(others)} more files in {out}: Markdown, and every table, plot and picture by itself")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A store, or the folder of a report: what was.")],
    b: Annotated[Path, typer.Argument(help="A store, or the folder of a report: what is.")],
    name: Annotated[str, typer.Option("--report", help="Which report compares (see `list reports`).")] = "ablation",
    margin: MarginOption = None,
    plugin: PluginOption = None,
    no_plugins: NoPluginsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what changed beyond noise from A to B; exit code 1 when something got worse, 2 when nothing is comparable."""
    from harness.registry import Plugins
    from harness.report import Report

    report: Report = Plugins("harness.reports", Report, third_party=not no_plugins).get(name)
    if report.compare is None:
        raise RequestError(f"report {name!r} compares nothing; choose another with --report")
    difference = report.compare(a, b, _variants(plugin, no_plugins), **report.options(report.compare, margin=margin))
    if as_json:
        emit(difference.document)
    else:
        for line in difference.lines:
            say(line)
    if difference.regressed:
        raise typer.Exit(1)


@app.command()
def bench(
    preset: PresetOption = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Sequences a step; the preset's if not given.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="Counted turns of every contender.")] = 5,
    contenders: Annotated[
        str | None,
        typer.Option(
            "--contenders",
            help="Some of fast,fast-float32,fast-bf16,reference-float32,article-float32,article-bf16; all if not given.",
        ),
    ] = None,
    check: Annotated[Path | None, typer.Option("--check", help="Recorded ratios; fail when a fifth of one is lost.")] = None,
    quality: Annotated[
        bool, typer.Option("--quality", help="Instead: test SSIM after equal time, default against the article's recipe.")
    ] = False,
    seconds: Annotated[float, typer.Option("--seconds", help="Of training, with --quality.")] = 100.0,
    seeds: Annotated[int, typer.Option("--seeds", help="How many, with --quality.")] = 3,
    device: DeviceOption = "auto",
    digits: DigitsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure training and inference against the reference and the article's literal cell."""
    from harness.bench import speed as benchmark

    request = _request(preset, device, digits, None, None)
    if quality:
        from harness.bench.quality import quality as measure

        found = measure(request.preset, request.device, seconds=seconds, seeds=seeds, digits=digits, note=note)
        emit(found) if as_json else print_quality(found)
        return
    names = [name.strip() for name in contenders.split(",")] if contenders else None
    document = benchmark.bench(
        request.preset, request.device, batch=batch, rounds=rounds, names=names, digits=digits, note=note
    )
    if as_json:
        emit(document)
    else:
        print_bench(document)
    if check is not None and (complaints := benchmark.check(document, check)):
        raise HarnessError("slower than recorded: " + "; ".join(complaints))


@app.command()
def study(
    name: Annotated[
        str, typer.Argument(help="A study (see `list studies`): loss-weights, learning-rate, or another package's.")
    ],
    variant: VariantOption = "base",
    each: Annotated[
        bool, typer.Option("--each", help="Tune every installed variant, with the same number of trials.")
    ] = False,
    trials: Annotated[
        int, typer.Option("--trials", help="Finished or pruned trials in all, however often it was interrupted.")
    ] = 20,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Stop cleanly after so many seconds.")] = None,
    seeds_per_trial: Annotated[
        int,
        typer.Option(
            "--seeds-per-trial", help="A trial is the mean of so many seeds; from 4 on, bad ones are pruned between seeds."
        ),
    ] = 1,
    sampler: Annotated[
        str,
        typer.Option(
            "--sampler", help="tpe (for few, noisy trials), gp (fewer still, slower), cmaes (50 and more) or random."
        ),
    ] = "tpe",
    pruner: Annotated[
        str,
        typer.Option(
            "--pruner", help="median (from half of a training on, after 5 trials), hyperband (tens of trials) or none."
        ),
    ] = "median",
    objectives: Annotated[
        str, typer.Option("--objectives", help="ssim, or ssim,seconds for a Pareto front (no pruning).")
    ] = "ssim",
    option: Annotated[
        list[str] | None, typer.Option("--with", help="An option of the study, such as l1; may be repeated.")
    ] = None,
    confirm: Annotated[
        int | None, typer.Option("--confirm", help="Test the best setting and the fixed arms on so many new seeds.")
    ] = None,
    max_failures: Annotated[int, typer.Option("--max-failures", help="Stop when so many trials in a row fail.")] = 5,
    save_every: SaveEveryOption = 30.0,
    executor: ExecutorOption = "processes",
    workers: WorkersOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = None,
    ray_address: RayAddressOption = None,
    slurm: SlurmOption = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            envvar="HARNESS_STORAGE",
            show_envvar=False,
            help="Optuna storage: postgresql+psycopg://..., sqlite:///..., journal:FILE [env: HARNESS_STORAGE].",
        ),
    ] = None,
    study_name: Annotated[
        str | None, typer.Option("--study-name", help="Name in the storage; made from the request if not given.")
    ] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve optuna-dashboard on the storage; runs no trial.")
    ] = False,
    port: Annotated[int, typer.Option("--port", help="Port of the dashboard.")] = 8080,
    preset: PresetOption = None,
    settings: SetOption = None,
    config: ConfigOption = None,
    device: DeviceOption = "auto",
    digits: DigitsOption = None,
    store: StoreOption = None,
    plugin: PluginOption = None,
    no_plugins: NoPluginsOption = False,
    deterministic: Annotated[bool, typer.Option(help="Use deterministic algorithms only (slower on a GPU).")] = False,
    auto_batch: AutoBatchOption = False,
    no_graphs: NoGraphsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search a study's settings by validation SSIM; goes on where it was interrupted."""
    from harness.executors.factory import executors
    from harness.executors.resources import resolve_resources
    from harness.runs.request import store_root
    from harness.store.store import Store
    from harness.tuning.command import StudyRequest, run_study, serve_dashboard

    root = store_root(store)
    if dashboard:
        serve_dashboard(Store(root), storage, port, note)
        return
    where = resolve_resources(
        executor, workers=workers, cpus=cpus, gpus=gpus, device=device, ray_address=ray_address, slurm=slurm
    )
    document = run_study(
        StudyRequest(
            study=name,
            variant=variant,
            each=each,
            trials=trials,
            timeout=timeout,
            seeds_per_trial=seeds_per_trial,
            sampler=sampler,
            pruner=pruner,
            objectives=tuple(one.strip() for one in objectives.split(",")),
            options=frozenset(option or ()),
            confirm=confirm,
            max_failures=max_failures,
            workers=where.workers,
            threads=where.threads,
            save_every=save_every,
            storage=storage,
            study_name=study_name,
            request=_request(preset, device, digits, settings, config, where),
            plugins=tuple(plugin or ()),
            third_party=not no_plugins,
            deterministic=deterministic,
            auto_batch=auto_batch,
            graphs=not no_graphs,
            words=("harness", *sys.argv[1:]),
        ),
        Store(root),
        note,
        executors(where, root, note),
    )
    if as_json:
        emit(document)
    else:
        for one in document.get("each", [document]):
            print_study(one)


@app.command()
def doctor(
    store: StoreOption = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Set aside what is damaged, test whole trainings again, remove what was left over."),
    ] = False,
    device: DeviceOption = "auto",
    digits: DigitsOption = None,
    plugin: PluginOption = None,
    no_plugins: NoPluginsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check this machine, the digits, the plugins and the store; with --repair, repair the store."""
    from harness.maintenance.doctor import examine
    from harness.runs.request import store_root

    root = store_root(store)
    done: list[str] = []
    if repair:
        from harness.maintenance.repair import repair as repair_store
        from harness.store.store import Store
        from harness.system.devices import choose_device

        done = repair_store(Store(root), _variants(plugin, no_plugins), choose_device(device), digits, note)
    checks = examine(root, digits, third_party=not no_plugins)
    if as_json:
        emit({"checks": checks, "repaired": done, "ok": all(check["ok"] for check in checks)})
    else:
        for check in checks:
            say(f"{'ok  ' if check['ok'] else 'FAIL'}  {check['name']}: {check['finding']}")
    if not all(check["ok"] for check in checks):
        raise typer.Exit(1)


@data_app.command("fetch")
def data_fetch(
    folder: Annotated[Path | None, typer.Option("--out", help="Folder; the user's cache if not given.")] = None,
) -> None:
    """Download MNIST's four files from its public mirrors and check their digests."""
    from harness.data.digits import fetch_digits

    where = fetch_digits(folder)
    say(f"MNIST is in {where}; use it with --digits {where} or HARNESS_DIGITS={where}")


@data_app.command("verify")
def data_verify(digits: DigitsOption = None, as_json: JsonOption = False) -> None:
    """Check MNIST's files: those of --digits or HARNESS_DIGITS, else those that `harness data fetch` downloaded."""
    from harness.data.digits import verify_digits

    findings: list[dict[str, Any]] = [
        {"file": one.file, "ok": one.ok, "finding": one.message} for one in verify_digits(digits)
    ]
    ok = bool(findings) and all(one["ok"] for one in findings)
    if as_json:
        emit({"files": findings, "ok": ok})
    else:
        for one in findings:
            say(f"{'ok  ' if one['ok'] else 'FAIL'}  {one['file']}: {one['finding']}")
    if not ok:
        raise typer.Exit(1)


# Newer typer brings its own copy of click, so that click's own classes would match nothing.
_USAGE_ERROR: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _usage(error: Any) -> str:
    """One line for a command line that cannot be parsed; the whole help for one that says nothing."""
    message, context = str(error.format_message()), getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    return f"error: {message.rstrip('.')}; see `{context.command_path if context else 'harness'} --help`"


WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
"""How threads wait for one another: a few microseconds awake, then asleep. A training step on two cores, two threads:

    =====================  ==========  ===========================
    libgomp's spin count   idle cores  one core busy with others
    =====================  ==========  ===========================
    0 (asleep at once)     113-130 ms  126-128 ms
    1000                   72-79 ms    160-163 ms
    5000                   62-84 ms    282-294 ms
    300,000 (its default)  76 ms       344 ms, and up to 2 s at 100,000
    =====================  ==========  ===========================
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The `harness` command. Ends the process with the exit code."""
    if not WAITING.keys() & os.environ.keys():  # read once, when torch is imported; what the user set stays
        os.environ.update(WAITING)
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with signals.ends_within(signals.GRACE):
        code = _answer(arguments)
    raise SystemExit(code)


def _answer(arguments: Sequence[str] | None) -> int:
    """Does what the words ask for; returns the exit code."""
    try:
        code = app(list(arguments) if arguments is not None else None, prog_name="harness", standalone_mode=False) or 0
        sys.stdout.flush()
        if code == Interrupted.exit_code:  # newer typer turns Ctrl-C into an exit code
            raise KeyboardInterrupt
    except HarnessError as error:
        stopped = isinstance(error, Interrupted)
        note(f"{'stopped' if stopped else 'error'}: {error}")
        code = signals.exit_code() if stopped else error.exit_code
    except _USAGE_ERROR as error:
        note(_usage(error))
        code = RequestError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        note(f"stopped: interrupted; {signals.GOING_ON}")
        code = signals.exit_code()
    except BrokenPipeError:  # `harness list runs | head`
        sys.stderr.close()
        code = 0
    except OSError as error:  # a disk that is full or gone, met outside the store's own care
        note(f"error: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
        code = HarnessError.exit_code
    except Exception:  # a mistake of this program or of a plugin: its traceback helps to fix it, and may quote a secret
        note(traceback.format_exc())
        code = HarnessError.exit_code
    return code


if __name__ == "__main__":
    main()
