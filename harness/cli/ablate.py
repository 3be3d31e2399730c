"""`harness ablate`: run a plan of variants and seeds."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.options import DeviceOptions, JsonOption, PluginOptions, RequestOptions, StoreOptions, expand_options
from harness.cli.printing import print_answer
from harness.errors import HarnessError
from harness.options import ExecutorOptions, RunOptions, option
from harness.system.console import emit, note, print_table, say

if TYPE_CHECKING:
    from harness.reports import Answer


@expand_options
def ablate(
    *,
    plan: str = option(
        "add-one", "add-one, leave-one-out, factorial, networks, a-a, or compositions: base,attention,residual+tta."
    ),
    variants: str | None = option(
        None,
        "The plan's variants, separated by commas; a dose in parentheses: attention(heads=8). Default: all installed that "
        "replace the network (plan networks), or all others.",
    ),
    sweep: list[str] | None = option(
        None, "Arms of a setting's values, path=value,value: every variant (default: base) with every value."
    ),
    seeds: str = option(
        "3",
        "How many seeds (5), a list of them (0,3,7), or auto: each arm gets seeds until it helps, hurts or is equivalent.",
    ),
    max_seeds: int | None = option(None, "With --seeds auto, the most seeds of an arm; 30 if not given."),
    metric: str = option("ssim", "The metric that is judged; the others are secondary."),
    margin: float | None = option(
        None, "The smallest difference of interest, in the metric's unit. Default: one sd of differences at the preset."
    ),
    test: str = option(
        "t",
        "t, or signed-rank: exact whatever the noise, for seeds that may collapse; of 5 arms it asks for 8 seeds or more.",
    ),
    match: str = option(
        "steps",
        "Give every variant base's steps, seconds or flops; or its steps where it has about base's parameters.",
        flag="--equal --match",
    ),
    tune: int = option(
        0, "First tune every arm's learning rate by so many trials, on validation and on a seed of their own.", at_least=0
    ),
    controls: bool = option(
        False, "Add arms whose verdict is known: other sequences (no difference), half the budget (hurts), twice (helps)."
    ),
    asked: RequestOptions,
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
    cells_per_process: int = option(
        1, "Cells that a process trains in turns: fills a GPU that one small cell does not. See docs/gpu.md.", at_least=1
    ),
    retries: int = option(1, "How often to try a failed cell again."),
    max_hours: float | None = option(None, "Save and stop after this time."),
    dry_run: bool = option(False, "Show the cells and estimate their cost; train nothing."),
    as_json: JsonOption = False,
    executor: ExecutorOptions,
    options: RunOptions,
) -> None:
    """Run an ablation plan: variants times seeds. Cells that the store has are not trained again."""
    from harness.ablation.auto import seed_rule
    from harness.ablation.plan import REFERENCE, Ablation, arms, parse_seeds, plan_variants, swept
    from harness.ablation.runner import Runner
    from harness.ablation.tune import Tuner
    from harness.bench.sharing import share_machine
    from harness.executors.resources import executors, resolve_resources
    from harness.hooks import find_hooks
    from harness.reports import answer
    from harness.system.secrets import redact
    from harness.watching.board import Reader
    from harness.watching.follow import shown

    find_hooks(options.hooks or ())  # what is wrong is refused before anything runs
    resources = resolve_resources(executor, where.device)
    request = asked.request(resources.device, where.digits, stored.root)
    known = plugins.variants()
    chosen = plan_variants(plan, variants, sweep or (), known)
    rule = seed_rule(seeds, max_seeds, margin, metric, request.preset, lambda: request.experiment(known, REFERENCE).metrics)
    numbers = parse_seeds(str(rule.most) if rule else seeds)
    whole, share = swept(chosen, sweep) if sweep else plan, None
    if match != "seconds":  # base's time is what the others get: it must not depend on what ran beside it
        cells = len(arms(whole, chosen, known.compose).names) * len(numbers)
        base = request.cell(known, REFERENCE, numbers[0])[0].experiment
        share = share_machine(executor, resources.device, base, cells, request.digits, note)
    ablation = Ablation(
        plan=whole,
        variants=chosen,
        seeds=numbers,
        rule=rule,
        metric=metric,
        margin=margin,
        test=test,
        request=request,
        match=match,
        tune=tune,
        controls=controls,
        plugins=plugins.files,
        third_party=not plugins.no_plugins,
        options=options,
        workers=share.workers if share else resources.workers,
        threads=share.threads if share else resources.threads,
        cells_per_process=cells_per_process,
        retries=retries,
        max_hours=max_hours,
        live=sys.stderr.isatty(),
        command=redact(shlex.join(["harness", *sys.argv[1:]])),
    )
    store = stored.open()
    cluster = executors(resources, store.root, note)
    tuner = Tuner(replace(ablation, live=False), store, note, cluster) if tune else None
    tuned = {} if tuner is None or dry_run else tuner.tune()
    runner = Runner(ablation, store, note, cluster, tuned=tuned)
    runner.prepare()  # what is refused is refused before a word about watching it
    if dry_run:
        if runner.source is not None and runner.source.text:
            note(runner.source.text)
        runner.grow()
    else:
        out = store.part("watch") / f"{Path(runner.record_name).stem}.html"
        note(f"watch it: {out}, or `harness watch`")
        with shown(Reader(store, runner.record_name), out):
            runner.run()
    rows = runner.rows
    document: dict[str, Any] = {
        "plan": ablation.plan,
        "match": match,
        "preset": request.preset,
        "cells": [row.record() for row in rows],
        "left_out": runner.left_out,
    }
    if runner.controls:
        document["controls"] = runner.controls
    if (question := runner.question()) is not None:
        document["question"] = question.record()
        if dry_run and rule is None:
            found = question.reach(request.preset)
            document["power"] = None if found is None else asdict(found)
    if tuned:
        document["tuned"] = {name: asdict(one) for name, one in tuned.items()}
    if rule is not None and (standing := runner.standing()) is not None:
        document["seed_rule"] = rule.record()
        document["decisions"] = [asdict(one) for one in standing.decisions]
    if dry_run:
        from harness.ablation.estimate import estimate

        document["estimate"] = estimate(runner, tuner)
    said = None if dry_run else answer(store, known, Path(runner.record_name).stem)
    if said is not None:
        document["answer"] = said.document
    emit(document) if as_json else print_plan(document, said)
    missing = sum(row.status != "finished" for row in rows)
    if missing and not dry_run:
        raise HarnessError(f"{missing} of {len(rows)} cells are missing; run the same command again to continue")


def print_plan(document: dict[str, Any], found: Answer | None) -> None:
    """What the plan says, or an estimate of its cost, below its cells (below the missing ones, where something is finished)."""
    columns = ("label", "seed", "status", "cached", "run_id", "error")
    shown = [cell for cell in document["cells"] if found is None or cell["status"] != "finished"]
    rows = [[str(cell[name] or "") if name != "seed" else str(cell[name]) for name in columns] for cell in shown]
    used = [i for i, name in enumerate(columns) if any(row[i] for row in rows)]
    if used:
        print_table([columns[i] for i in used], [[row[i] for i in used] for row in rows])
    for name, one in document.get("tuned", {}).items():
        say(f"{name}: learning rate {one['rate']:g}, the best of {len(one['trials'])} on validation (own: {one['own']:g})")
    finished = sum(cell["status"] == "finished" for cell in document["cells"])
    say(f"{finished} of {len(document['cells'])} cells finished")
    if (rule := document.get("seed_rule")) is not None:
        from harness.ablation.auto import Decision

        for one in document["decisions"]:
            say(f"{one['arm']}: {Decision(**one).words}")
        most = rule["most"] * (len(document["decisions"]) + 1)
        say(f"looks after {', '.join(map(str, rule['looks']))} seeds; {most} cells at most")
        if "estimate" in document:
            say(_of_rule(rule, document["question"], document["preset"]))
    if "power" in document:
        for line in describe_power(document["power"], document["question"]):
            say(line)
    if (estimate := document.get("estimate")) is not None:
        say(
            f"still to run: {estimate['cells']} cells, about {_duration(estimate['seconds'])}, "
            f"up to {estimate['memory_bytes'] / 2**30:.1f} GiB a worker (from {estimate['measured_steps']} measured steps each)"
        )
    elif found is not None:
        print_answer(found)
        say("")
        say("`harness report` makes the page, with figures, tables and methods")


def _of_rule(rule: dict[str, Any], question: dict[str, Any], preset: str) -> str:
    """What a plan with as many seeds as needed can find."""
    from harness.ablation import noise, sequential

    known, count = noise.noise(preset, question["metric"]), len(question["contrasts"])
    gain, seeds = sequential.reach(tuple(rule["looks"]), count, noise.POWER, question["alpha"])
    size = f"{gain:.2g} sd of the differences in {question['metric']}"
    if known is not None:
        size = f"{gain * known.sd:.2g} {question['metric']} ({gain:.2g} sd of the differences; {known.source})"
    return (
        f"{rule['most']} seeds at most and {_counted(count)} find a gain of {size} with 80% power after Holm's adjustment over all "
        f"looks, such an arm stopping after {seeds:.0f} seeds on average"
    )


def _in_sd(seeds: int, comparisons: int, metric: str, alpha: float) -> Iterator[str]:
    """What a plan can find where the noise of its preset is not known: in its units."""
    from harness.ablation.noise import Noise, reach

    found = reach(Noise(1.0, 0, ""), seeds, comparisons, 1.0, alpha)
    if found is None:
        yield f"one seed finds nothing in {metric}: give --seeds 3 or more"
        return
    yield (
        f"{seeds} seeds and {_counted(comparisons)} find a gain of {found.gain:.2g} sd of the differences in {metric} with 80% "
        "power after Holm's adjustment; that sd was not measured at this preset"
    )
    if found.gain > 3:
        yield f"warning: a gain of one sd takes {found.seeds_for_margin} seeds"


def _counted(comparisons: int) -> str:
    return f"{comparisons} comparison{'s' * (comparisons != 1)}"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def describe_power(power: dict[str, Any] | None, question: dict[str, Any]) -> Iterator[str]:
    """What the plan can find, before anything runs."""
    from harness.ablation.plan import TESTS

    metric, margin, count = question["metric"], question["margin"], len(question["seeds"])
    if not question["contrasts"]:
        yield f"no arm is compared in {metric}, so there is no gain to find; controls are judged by themselves"
        return
    if question["test"] != TESTS["t"]:
        level = question["alpha"] / len(question["contrasts"])
        yield f"{count} seeds: the least p of the signed-rank test is {2.0 ** (1 - count):.2g}; Holm's first level is {level:.2g}"
        if 2.0 ** (1 - count) > level:
            yield f"warning: so no arm alone can be found; give {1 + math.ceil(-math.log2(level))} seeds or more"
        yield "by the t test under normal noise, which is the better of the two there by little:"
    if power is None:
        yield from _in_sd(count, len(question["contrasts"]), metric, question["alpha"])
        return
    yield (
        f"{power['seeds']} seeds and {_counted(power['comparisons'])} find a gain of {power['gain']:.2g} {metric} with 80% power "
        f"after Holm's adjustment (differences scatter by {power['sd']:.2g}; {power['source']})"
    )
    if power["gain"] > 3 * margin:
        more = power["seeds_for_margin"]
        wanted = f"{more} seeds" if more is not None else "more than 1,000 seeds"
        yield f"warning: that is {power['gain'] / margin:.0f} times the margin of {margin:g}, which {wanted} would find"
