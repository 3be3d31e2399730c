"""`harness run`: train and test one variant."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from typing import Any

import typer

from harness.cli.options import DeviceOptions, JsonOption, PluginOptions, RequestOptions, StoreOptions, expand_options
from harness.cli.printing import figure
from harness.errors import HarnessError
from harness.notation import flatten
from harness.options import RunOptions, option
from harness.system.console import emit, note, print_table, say


@expand_options
def run(
    *,
    variant: str = option("base", "A variant, or several joined by '+'.", flag="--variant -v"),
    asked: RequestOptions,
    seed: int | None = option(None, "Seed of weights and training sequences."),
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
    extend: str | None = option(
        None, "Continue the finished training to a larger budget, steps=5000, epochs=50 or seconds=600, as a run of its own."
    ),
    force: bool = option(False, "Train again; keep the old run."),
    dry_run: bool = option(False, "Show settings, parameters and operations; train nothing."),
    as_json: JsonOption = False,
    options: RunOptions,
) -> None:
    """Train and test one variant, or answer from the store when it is finished."""
    from harness.runs.cell import assist, run_cell
    from harness.runs.context import Context
    from harness.runs.outcome import finished
    from harness.store import DamagedRecord, validated
    from harness.system.devices import choose_device
    from harness.system.progress import progress
    from harness.training.distributed import from_environment, local_device

    request = asked.request(choose_device(local_device(where.device)), where.digits, stored.root)
    known = plugins.variants()
    cell, source = request.cell(known, variant, seed)
    if extend is not None:
        cell, source = request.extended(cell.run_id, extend).cell(known, variant, seed, source)
    if dry_run:
        from harness.evaluation.cost import cost

        planned = cell.record() | cost(cell.experiment, source) | {"digits": source.digits}
        if source.text:
            note(source.text)
        emit(planned) if as_json else print_dry_run(planned)
        return
    store = stored.open()
    with from_environment(request.device) as distributed:
        context = Context(device=request.device, force=force, distributed=distributed, progress=progress, note=note)
        if not distributed.is_main:
            try:
                assist(cell, store, source, options, context)
            except HarnessError as error:  # rank 0 reports it
                raise typer.Exit(error.exit_code) from None
            return
        outcome = None
        with suppress(DamagedRecord):  # `run_cell` sets it aside
            outcome = None if force or distributed.count > 1 else finished(store, cell, note)
        if outcome is None:
            if source.text:
                note(source.text)
            outcome = run_cell(cell, store, source, options, context)
    record = outcome.record()
    if as_json:
        emit(record)
    else:
        with validated(outcome.path) if outcome.cached else nullcontext():
            print_result(outcome.result | record | {"training": outcome.result["training"]})


BASELINE_WORDS = {
    "flow": "optical flow",
    "climatology": "climatology",
    "repeat_last": "repeat last frame",
    "blank": "blank frame",
}


def print_dry_run(record: dict[str, Any]) -> None:
    """What would run: its cost and every setting."""
    say(f"{record['variant']} · preset {record['preset']} · seed {record['seed']} · run {record['run_id']}")
    say(f"{record['params']:,} parameters · {record['flops_per_sequence'] / 1e9:.2f} GFLOP a sequence")
    print_settings(record["experiment"])


def print_settings(experiment: dict[str, Any]) -> None:
    """An experiment's settings, one per line."""
    for path, value in flatten(experiment).items():
        say(f"  {path} = {json.dumps(value, ensure_ascii=False)}")


def print_result(record: dict[str, Any]) -> None:
    """A run's metrics beside the baselines, and its cost."""
    training = record["training"]
    baselines = record["baselines"]
    rows = [(record["variant"], record["metrics"])]
    rows += [(words, baselines[name]) for name, words in BASELINE_WORDS.items() if name in baselines]
    names = list(record["metrics"])
    coarse = ("mse", "mae", "psnr")
    cells = [[label, *(figure(metrics.get(name), 2 if name in coarse else 3) for name in names)] for label, metrics in rows]
    print_table(["test", *names], cells)
    say(describe_blank(record))
    if "predictions" in record:
        say(f"nothing was trained: predictions of {record['predictions']['origin']} · seed {record['seed']}")
        say(f"run {record['run_id']} in {record['path']}")
        return
    say(
        f"{record['params']:,} parameters · {describe_steps(training)}"
        f" · {record['inference']['frames_per_second']:.0f} predicted frames/s · seed {record['seed']}"
        f"{describe_skipped(training)}"
    )
    how = "from the store" if record["cached"] else "resumed and finished" if record["resumed"] else "finished"
    say(f"run {record['run_id']} ({how}) in {record['path']}")


def describe_blank(record: dict[str, Any]) -> str:
    """Up to which frame the prediction is worth more than a blank one."""
    from harness.evaluation.conventions import frames_above_blank

    (until, behind), horizon = frames_above_blank(record), len(record["metrics_per_frame"]["ssim"])
    if not until:
        return f"at the first frame already, no better than a blank frame by {', '.join(behind)}"
    return f"better than a blank frame by every metric up to frame {until} of {horizon}" + (
        f"; then not by {', '.join(behind)}" if behind else ""
    )


def describe_steps(training: dict[str, Any]) -> str:
    """Steps, seconds and speed of a training, and how much of it was waiting for batches; older records do not say that."""
    rate, waiting = training["sequences_per_second"], training.get("waiting_share")
    found = ([f"{rate:.1f} sequences/s"] if rate else []) + (
        [f"{waiting:.0%} waiting for data"] if waiting is not None else []
    )
    return f"{training['steps']} steps in {training['seconds']:.0f} s" + (f" ({', '.join(found)})" if found else "")


def describe_skipped(training: dict[str, Any]) -> str:
    """The number of skipped steps, if there are any."""
    return f" · {training['skipped_steps']} steps skipped" if training["skipped_steps"] else ""
