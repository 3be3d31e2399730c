"""The command line's work as functions: the same words, objects instead of text, exceptions instead of exit codes.

Every function raises RequestError for a request that is wrong, HarnessError when the work failed, and Interrupted when it was
told to stop with its state saved (`harness.errors`). Cells that the store has are not trained again. Reached as `harness.run` and
so on, so that importing `harness` alone imports nothing heavy.

Longer than other files because half of it is what users read of each argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.component import Component
from harness.errors import HarnessError, RequestError
from harness.options import RunOptions
from harness.results import Result, Results, Tuned
from harness.variant import Variant, Variants

if TYPE_CHECKING:
    import pandas as pd

    from harness.executors.protocol import Executors
    from harness.hooks import Given
    from harness.reports import Difference, Judgement
    from harness.runs.request import Request
    from harness.store import Store
    from harness.store.status import Standing
    from harness.system.progress import Progress

Named = str | Variant
"""A variant: its text ('residual+attention(heads=1)'), or the object itself."""


def run(
    variant: Named = "base",
    *,
    preset: str | None = None,
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
    store: str | Path | None = None,
    components: Iterable[type[Component]] = (),
    plugins: Iterable[str | Path] = (),
    device: str = "auto",
    digits: str | Path | None = None,
    extend: str | None = None,
    force: bool = False,
    progress: bool = True,
    options: RunOptions | None = None,
    hooks: Iterable[Given] = (),
) -> Result:
    """Trains and tests one variant, or answers from the store when it is finished; `harness run`.

    Args:
        variant: its text, or a Variant.
        preset: paper, cpu or tiny; by default paper on a GPU, else cpu.
        settings: config path -> value: a plain one, a component or its text.
        store: the folder of runs; by default HARNESS_STORE, else artifacts.
        components: classes that `settings` and `variant` name and no package provides.
        plugins: Python files with variants and components.
        digits: folder of MNIST's files; by default HARNESS_DIGITS, or what `harness data fetch` downloaded, or generated digits.
        extend: continue the finished training to a larger budget, such as "steps=5000", as a run of its own.
        force: train again; the old run is kept.
        progress: report progress on stderr.
        hooks: who follows the run: names of trackers, classes derived from `harness.Hook`, or objects; see docs/trackers.md.
    """
    from harness.runs.cell import run_cell
    from harness.runs.context import Context

    variants = _variants([variant], components, settings, plugins)
    request = _request(preset, device, digits, settings, store)
    cell, source = request.cell(variants, _text(variant), seed)
    if extend is not None:
        cell, source = request.extended(cell.run_id, extend).cell(variants, _text(variant), seed, source)
    context = Context(
        device=request.device,
        force=force,
        progress=_shown(progress),
        note=_note(progress),
    )
    outcome = run_cell(cell, _store(store), source, _hooked(options, hooks), context)
    record = outcome.result | {"changes": list(cell.changes), "experiment": cell.experiment.to_dict()}
    return Result(record, outcome.path, outcome.cached, outcome.resumed, variants)


def ablate(
    variants: Sequence[Named] | str | None = None,
    *,
    plan: str = "add-one",
    seeds: int | Sequence[int] | Literal["auto"] = 3,
    max_seeds: int | None = None,
    margin: float | None = None,
    equal: str = "steps",
    metric: str = "ssim",
    test: str = "t",
    sweep: Mapping[str, Sequence[object]] | None = None,
    tune: int = 0,
    controls: bool = False,
    preset: str | None = None,
    settings: Mapping[str, object] | None = None,
    store: str | Path | None = None,
    components: Iterable[type[Component]] = (),
    plugins: Iterable[str | Path] = (),
    device: str = "auto",
    digits: str | Path | None = None,
    workers: int = 1,
    progress: bool = True,
    options: RunOptions | None = None,
    hooks: Iterable[Given] = (),
) -> Results:
    """Runs a plan of variants and seeds; `harness ablate`.

    Args:
        variants: texts, such as "attention(heads=8)", or Variants; by default those of the plan.
        plan: add-one, leave-one-out, factorial, networks, a-a, or compositions separated by commas.
        seeds: how many, which, or "auto": each arm gets seeds until it helps, hurts or is equivalent; the results' `verdicts`
            are then those of the rule.
        max_seeds: with "auto", the most seeds of an arm; 30 if not given.
        equal: steps, seconds, flops or parameters; see `harness ablate --help`.
        metric: the one that is judged, with `margin`, the smallest difference of interest in its unit; both stand in the plan.
        test: t, or signed-rank; see docs/seeds.md.
        sweep: config path -> values: arms are every variant with every value.
        tune: trials of its learning rate that every arm gets first, on validation and on a seed of their own.
        controls: add arms whose verdict is known, which show whether the regime can tell arms apart.
        workers: cells at the same time, in processes of their own. With 1, cells run in this process, one after the other; only
            there can they use classes of this session.

    Other arguments are those of `run`. Raises HarnessError when a cell failed; what finished is in the store.
    """
    from harness.ablation.auto import seed_rule
    from harness.ablation.plan import REFERENCE, Ablation, parse_seeds, plan_variants, swept
    from harness.ablation.runner import Runner
    from harness.ablation.tune import Tuner
    from harness.notation import argument_text

    given = None if variants is None else [variants] if isinstance(variants, str) else list(variants)
    known = _variants(given or (), components, settings, plugins)
    texts = None if given is None else ",".join(map(_text, given))
    sweeps = [f"{path}={','.join(argument_text(one) for one in values)}" for path, values in (sweep or {}).items()]
    chosen = plan_variants(plan, texts, sweeps, known)
    request = _request(preset, device, digits, settings, store)
    given_seeds = str(seeds) if isinstance(seeds, int | str) else ",".join(map(str, seeds)) + ","
    rule = seed_rule(
        given_seeds, max_seeds, margin, metric, request.preset, lambda: request.experiment(known, REFERENCE).metrics
    )
    ablation = Ablation(
        plan=swept(chosen, sweeps) if sweeps else plan,
        variants=chosen,
        seeds=parse_seeds(str(rule.most) if rule else given_seeds),
        rule=rule,
        request=request,
        match=equal,
        metric=metric,
        margin=margin,
        test=test,
        tune=tune,
        controls=controls,
        plugins=_files(plugins),
        options=_hooked(options, hooks),
        workers=workers,
    )
    opened = _store(store)
    executors = _executors(workers, known, progress)
    tuned = Tuner(ablation, opened, _note(progress), executors, known).tune() if tune else {}
    runner = Runner(ablation, opened, _note(progress), executors, known, tuned)
    rows = runner.run()
    missing = [f"{row.planned.label} seed {row.planned.seed}: {row.error}" for row in rows if row.status != "finished"]
    if missing:
        raise HarnessError(f"{len(missing)} of {len(rows)} cells are missing ({missing[0]}); call again to continue")
    found = [_read(opened, str(row.cell.run_id), known, row.planned.label) for row in rows if row.cell is not None]
    standing = runner.standing()
    return Results(found, runner.left_out, one_table=True, decisions=() if standing is None else standing.decisions)


def study(
    name: str,
    variant: Named = "base",
    *,
    trials: int = 20,
    preset: str | None = None,
    settings: Mapping[str, object] | None = None,
    store: str | Path | None = None,
    components: Iterable[type[Component]] = (),
    plugins: Iterable[str | Path] = (),
    device: str = "auto",
    digits: str | Path | None = None,
    workers: int = 1,
    progress: bool = True,
    options: RunOptions | None = None,
    **search: Any,
) -> Tuned:
    """Searches the settings of a study with Optuna, on validation; `harness study`.

    Args:
        name: loss-weights, learning-rate, or another package's.
        trials: finished and pruned trials in all.
        search: further fields of `harness.tuning.request.StudyRequest`: sampler, pruner, confirm, seeds_per_trial, ...
    """
    from harness.tuning.command import run_study
    from harness.tuning.request import StudyRequest

    if search.get("each"):
        raise RequestError("study: each belongs to the command line; call harness.study for each variant")
    known = _variants([variant], components, settings, plugins)
    try:
        request = StudyRequest(
            study=name,
            variant=_text(variant),
            trials=trials,
            request=_request(preset, device, digits, settings, store),
            plugins=_files(plugins),
            options=options or RunOptions(),
            workers=workers,
            **search,
        )
    except TypeError as error:
        raise RequestError(f"study: {error}") from None
    return Tuned(run_study(request, _store(store), _note(progress), _executors(workers, known, progress), known))


def export(
    out: str | Path,
    *,
    split: str = "test",
    preset: str | None = None,
    settings: Mapping[str, object] | None = None,
    digits: str | Path | None = None,
) -> dict[str, Any]:
    """Writes the test (or validation) sequences to a .npy file, for a program that predicts them elsewhere; `harness data export`.

    Returns what the .json beside it says: shape (N, T, C, H, W), how many frames are shown, and how many are to be predicted.
    """
    from harness.data.export import export as write

    _, source = _request(preset, "auto", digits, settings).cell(_variants((), (), settings, ()), "base")
    return write(source, split, Path(out))


def score(
    predictions: str | Path | Sequence[str | Path] | Callable[[Any, int], Any],
    name: str = "theirs",
    *,
    seed: int = 0,
    preset: str | None = None,
    settings: Mapping[str, object] | None = None,
    store: str | Path | None = None,
    components: Iterable[type[Component]] = (),
    plugins: Iterable[str | Path] = (),
    device: str = "auto",
    digits: str | Path | None = None,
) -> Results:
    """Tests predictions that were made elsewhere, beside the baselines; trains nothing; `harness score`.

    Args:
        predictions: a .npy file of predictions (N, horizon, C, H, W) of the sequences that `export` writes; several files are
            several seeds. Or a predictor (inputs (B, T, C, H, W), horizon) -> (B, horizon, C, H, W) of torch tensors: a
            function, "module:function", or a TorchScript (.pt) or ONNX (.onnx) file.
        name: what tables call them.
        seed: the seed of the first file.

    Other arguments are those of `run`.
    """
    from harness.runs.score import score_all

    known = _variants((), components, settings, plugins)
    given = [predictions] if isinstance(predictions, str | Path) or callable(predictions) else list(predictions)
    files = [Path(one) for one in given if isinstance(one, str | Path) and str(one).endswith((".npy", ".npz"))]
    if files and len(files) < len(given):
        raise RequestError("score: give files of predictions (.npy, .npz), or one predictor")
    predictor = None if files or not given else given[0] if callable(given[0]) else str(given[0])
    opened = _store(store)
    found = score_all(files, predictor, name, seed, _request(preset, device, digits, settings), known, opened)
    return Results([_read(opened, str(one.result["run_id"]), known, name) for one in found])


def report(
    store: str | Path | None = None, out: str | Path | None = None, *, margin: float | None = None, name: str = "ablation"
) -> Path:
    """Writes tables, plots and the page of a store into the folder `out` (default: report/ in the store); `harness report`.

    Returns the path of the page.
    """
    from harness.registry import Plugins
    from harness.reports import Report

    chosen: Report = Plugins("harness.reports", Report).get(name)
    opened = _store(store)
    folder = opened.root / "report" if out is None else Path(out)
    if out is None and folder.is_symlink():
        raise RequestError(f"{folder} is a link, which may lead out of the store; remove it, or name the folder with out")
    return chosen.build(opened, Variants(), folder, **chosen.options(chosen.build, margin=margin))[0]


def compare(
    a: str | Path, b: str | Path, *, margin: float | None = None, metric: str | None = None, name: str = "ablation"
) -> Difference:
    """What changed beyond noise between two stores or reports by `metric` (default: ssim); `harness compare`.

    `.regressed` says whether something got worse.
    """
    from harness.registry import Plugins
    from harness.reports import Report

    chosen: Report = Plugins("harness.reports", Report).get(name)
    if chosen.compare is None:
        raise RequestError(f"report {name!r} cannot compare; choose another with name")
    return chosen.compare(Path(a), Path(b), Variants(), **chosen.options(chosen.compare, margin=margin, metric=metric))


def judge(
    results: str | Path | pd.DataFrame,
    *,
    arm: str | None = None,
    seed: str | None = None,
    metrics: str | Sequence[str] = (),
    higher_is_better: bool | None = None,
    reference: str | None = None,
    margin: float | None = None,
    costs: str | Sequence[str] = (),
    test: str | None = None,
    out: str | Path | None = None,
    name: str = "ablation",
) -> Judgement:
    """Verdicts over a table that others made; `harness judge`. `.document["comparisons"]` has a row for each arm.

    Args:
        results: a file (CSV, Parquet, JSON lines), or a data frame, such as `mlflow.search_runs()`.
        arm, seed: columns. What is not named is guessed from the columns' names; `.notes` say how.
        metrics: columns to judge by; the first decides, the others are secondary.
        higher_is_better: the direction of the first metric.
        reference: the arm that the others are compared with.
        margin: the smallest difference of interest, in the first metric's unit.
        costs: columns that are shown as ratios to the reference's.
        test: t, the default, or signed-rank where runs may collapse; it needs runs that are paired by seed.
        out: a folder to write the page to; without it nothing is written.
    """
    from harness.registry import Plugins
    from harness.reports import Report

    chosen: Report = Plugins("harness.reports", Report).get(name)
    if chosen.judge is None:
        raise RequestError(f"report {name!r} cannot judge; choose another with name")
    judged = chosen.judge(
        Path(results) if isinstance(results, str) else results,
        arm=arm,
        seed=seed,
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
        higher_is_better=higher_is_better,
        reference=reference,
        costs=(costs,) if isinstance(costs, str) else tuple(costs),
        **chosen.options(chosen.judge, margin=margin, test=test),
    )
    if out is not None:
        judged.write(Path(out), False)
    return judged


def open_store(
    path: str | Path | None = None,
    *,
    variants: Iterable[Variant] = (),
    components: Iterable[type[Component]] = (),
    plugins: Iterable[str | Path] = (),
) -> Results:
    """The finished runs of a store. `harness.open_store(path)["3f2a"]` is the run whose id begins so.

    Args:
        variants: Variants of this session that made runs of this store.
        components: the same for classes: a run's `experiment` and `model()` need them.

    Raises RequestError when there is no such folder.

    >>> import tempfile
    >>> len(open_store(tempfile.mkdtemp()))
    0
    """
    from harness.store.status import scan

    store = _store(path)
    if not store.root.is_dir():
        raise RequestError(
            f"there is no store {store.root}; name one with --store or HARNESS_STORE (from Python: open_store(path)), or begin one "
            "with `harness ablate`"
        )
    known = _variants(list(variants), components, None, plugins)
    finished = [one for one in scan(store) if one.status == "finished" and not one.superseded]
    return Results([_result(store, one.record, one.result or {}, known, one) for one in finished])


def _read(store: Store, run_id: str, variants: Variants, label: str) -> Result:
    from harness.store.store import Run

    run = Run(store.part("runs") / run_id)
    record, result = run.read("experiment.json"), run.read("result.json")
    return _result(store, record, result | {"variant": label}, variants)


def _result(
    store: Store,
    record: Mapping[str, Any],
    result: Mapping[str, Any],
    variants: Variants,
    standing: Standing | None = None,
) -> Result:
    whole = dict(result) | {"changes": record.get("changes", []), "experiment": record.get("experiment", {})}
    return Result(whole, store.root / "runs" / str(whole["run_id"]), True, variants=variants, standing=standing)


def _store(given: str | Path | None) -> Store:
    from harness.store import Store as Opened
    from harness.store import store_root

    return Opened(store_root(None if given is None else Path(given)))


def _request(
    preset: str | None,
    device: str,
    digits: str | Path | None,
    settings: Mapping[str, object] | None,
    store: str | Path | None = None,
) -> Request:
    from harness.runs.request import Request as Made
    from harness.system.devices import choose_device

    chosen = choose_device(device)
    default = "paper" if chosen.startswith("cuda") else "cpu"
    return Made(
        preset=preset or default,
        device=chosen,
        digits=None if digits is None else Path(digits),
        settings=dict(settings or {}),
        store=_store(store).root,
    )


def _hooked(options: RunOptions | None, hooks: Iterable[Given]) -> RunOptions:
    """The options with the hooks, which the command line gives as text and a program as classes or objects too."""
    from harness.hooks import find_hooks

    options = options or RunOptions()
    given: list[Any] = [*(options.hooks or ()), *hooks]
    find_hooks(given)  # what is wrong is refused before anything runs
    return replace(options, hooks=given or None)


def _files(plugins: Iterable[str | Path]) -> tuple[Path, ...]:
    return tuple(Path(one) for one in plugins)


def _variants(
    given: Iterable[Named],
    components: Iterable[type[Component]],
    settings: Mapping[str, object] | None,
    plugins: Iterable[str | Path],
) -> Variants:
    """The installed variants with what this call brings: Variants, classes, and components among the settings."""
    from harness.tree import components_in

    known = Variants(files=_files(plugins))
    found = [kind for value in (settings or {}).values() for kind in components_in(value)]
    known.add(*dict.fromkeys([*components, *found]))
    known.add(*(one for one in given if isinstance(one, Variant)))
    return known


def _text(variant: Named) -> str:
    return variant.text if isinstance(variant, Variant) else variant


def _executors(workers: int, known: Variants, progress: bool) -> Executors:
    from harness.executors.here import Here
    from harness.executors.processes import Processes

    if workers == 1:
        return lambda slots: Here(known, _shown(progress))
    if known.of_session:
        raise RequestError(
            f"workers={workers}: {', '.join(known.of_session)} of this session cannot travel to other processes; leave workers "
            "out, or put them into a file and name it in plugins"
        )
    return Processes


def _note(progress: bool) -> Callable[[str], None]:
    from harness.system.console import note

    return note if progress else lambda text: None


def _shown(progress: bool) -> Callable[[str], Progress]:
    from harness.system.progress import Silent
    from harness.system.progress import progress as shown

    return shown if progress else lambda title: Silent()
