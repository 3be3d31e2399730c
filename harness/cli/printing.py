"""What each command prints for people: summaries, and tables that paste well."""

from __future__ import annotations

import json
import math
from typing import Any

from harness.system.console import note, print_table, say


def print_plan(document: dict[str, Any]) -> None:
    """A plan's cells and how they stand, or what they will take."""
    columns = ("label", "seed", "status", "cached", "run_id", "error")
    rows = [[str(cell[name] or "") if name != "seed" else str(cell[name]) for name in columns] for cell in document["cells"]]
    used = [i for i, name in enumerate(columns) if any(row[i] for row in rows)]
    print_table([columns[i] for i in used], [[row[i] for i in used] for row in rows])
    finished = sum(cell["status"] == "finished" for cell in document["cells"])
    say(f"{finished} of {len(document['cells'])} cells finished")
    if (estimate := document.get("estimate")) is not None:
        say(
            f"still to run: {estimate['cells']} cells, about {_duration(estimate['seconds'])}, "
            f"up to {estimate['memory_bytes'] / 2**30:.1f} GiB a worker (from {estimate['measured_steps']} measured steps each)"
        )
    elif finished:
        say("`harness report` makes the tables and the page")


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def print_dry_run(record: dict[str, Any]) -> None:
    """What would be run: its cost, and every setting."""
    say(f"{record['variant']} · preset {record['preset']} · seed {record['seed']} · run {record['run_id']}")
    say(f"{record['params']:,} parameters · {record['flops_per_sequence'] / 1e9:.2f} GFLOP a sequence")
    for section, values in record["experiment"].items():
        for name, value in values.items():
            say(f"  {section}.{name} = {json.dumps(value, ensure_ascii=False)}")


def print_result(record: dict[str, Any]) -> None:
    """A run's metrics beside the baselines, and its cost."""
    training = record["training"]
    rows = [
        (record["variant"], record["metrics"]),
        ("repeat last frame", record["baselines"]["repeat_last"]),
        ("blank frame", record["baselines"]["blank"]),
    ]
    names = ("ssim", "ssim_article", "ssim_openstl", "mse", "mae", "psnr")
    cells = [[label, *(figure(metrics[name], 3 if "ssim" in name else 2) for name in names)] for label, metrics in rows]
    print_table(["test", *names], cells)
    rate = training["sequences_per_second"]
    say(
        f"{record['params']:,} parameters · {training['steps']} steps in {training['seconds']:.0f} s"
        + (f" ({rate:.1f} sequences/s)" if rate else "")
        + f" · {record['inference']['frames_per_second']:.0f} predicted frames/s · seed {record['seed']}"
        + (f" · {training['skipped_steps']} steps skipped" if training["skipped_steps"] else "")
    )
    how = "from the store" if record["cached"] else "resumed and finished" if record["resumed"] else "finished"
    say(f"run {record['run_id']} ({how}) in {record['path']}")


def print_run(record: dict[str, Any]) -> None:
    """One run as `harness show` has it; of an unfinished one, what there is and how to go on."""
    if (result := record["result"]) is not None:
        print_result(result | {"cached": True, "resumed": False, "path": record["path"]})
        environment = record["environment"] or {}
        say(
            f"trained on {result['device']} · torch {environment.get('packages', {}).get('torch')} · "
            f"digits {result['digits']['source']} {result['digits']['digest'][:12]} · test {result['test_digest'][:12]}"
        )
    else:
        words = {"trained": "trained, not tested yet", "failed": "failed", "unfinished": "training has begun"}
        say(f"{record['variant']} · preset {record['preset']} · seed {record['seed']} · run {record['run_id']}")
        say(words[record["status"]] + (f": {record['error']}" if record["error"] else ""))
        if (training := record["training"]) is not None:
            rate = training["sequences_per_second"]
            say(
                f"{training['steps']} steps in {training['seconds']:.0f} s"
                + (f" ({rate:.1f} sequences/s)" if rate else "")
                + f" · best validation SSIM {figure(training['validation_ssim'], 4)} at step {training['best_step']}"
                + (f" · {training['skipped_steps']} steps skipped" if training["skipped_steps"] else "")
            )
    for line in record["validation"]:
        say(
            f"  step {line['step']:>7} · {line['seconds']:7.0f} s · "
            f"validation SSIM {figure(line.get('ssim'), 4)} · MSE {figure(line.get('mse'), 2)}"
        )
    for section, values in (record["experiment"] or {}).items():
        for name, value in values.items():
            say(f"  {section}.{name} = {json.dumps(value, ensure_ascii=False)}")
    if result is None:
        say(f"{'test it' if record['training'] else 'go on'} with: {record['command']}")


def figure(value: float | None, digits: int) -> str:
    """A number with so many decimals; 'none' for one that is not finite."""
    return "none" if value is None else f"{value:.{digits}f}"  # a value that was not finite is null in the record


def print_bench(document: dict[str, Any]) -> None:
    """The contenders of a benchmark, and their ratios."""
    peaks = document["peaks"]
    how = f"{document['rounds']} rounds, {document['clock']} time"
    say(f"preset {document['preset']}, batch {document['batch']}, {how}, on {document['device']}")
    reached = [f"{flops / 1e9:,.0f} GFLOP/s in {precision}" for precision, flops in peaks["flops_per_second"].items()]
    say(f"peak here: {', '.join(reached)}; {peaks['bytes_per_second'] / 1e9:,.1f} GB/s")
    header = (
        "training",
        "precision",
        "seq/s",
        "frames/s",
        "ms/step",
        "fastest-slowest",
        "data",
        "forward",
        "backward",
        "optimiser",
        "GFLOP/s",
        "of peak",
        "MiB",
    )
    print_table(
        header,
        [
            (
                row["contender"],
                row["precision"],
                _three(row["sequences_per_second"]),
                _three(row["frames_per_second"]),
                f"{row['ms_per_step']:.1f}",
                f"{row['ms_fastest']:.1f}-{row['ms_slowest']:.1f}",
                *(f"{row['ms'][phase]:.1f}" for phase in row["ms"]),
                f"{row['flops_per_second'] / 1e9:,.0f}",
                f"{row['share_of_peak']:.0%}",
                _mebibytes(row),
            )
            for row in document["training"]
        ],
    )
    print_table(
        ("inference", "precision", "batch", "seq/s", "frames/s", "ms", "fastest-slowest", "GFLOP/s", "of peak", "MiB"),
        [
            (
                row["contender"],
                row["precision"],
                str(row["batch"]),
                _three(row["sequences_per_second"]),
                _three(row["frames_per_second"]),
                f"{row['ms']:.1f}",
                f"{row['ms_fastest']:.1f}-{row['ms_slowest']:.1f}",
                f"{row['flops_per_second'] / 1e9:,.0f}",
                f"{row['share_of_peak']:.0%}",
                _mebibytes(row),
            )
            for row in document["inference"]
        ],
    )
    for pair, by_kind in document["ratios"].items():
        words = ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in by_kind.items())
        say(f"{pair}: {words}")


def _mebibytes(row: dict[str, Any]) -> str:
    """Allocated, and reserved where that is known."""
    reserved = f"/{row['reserved_bytes'] / 2**20:,.0f}" if row["reserved_bytes"] else ""
    return f"{(row['memory_bytes'] or 0) / 2**20:,.0f}{reserved}"


def _three(figure: float) -> str:
    """Three digits at least, none of a power of ten."""
    return f"{figure:,.{max(0, 2 - math.floor(math.log10(figure)))}f}" if figure > 0 else "0"


def print_quality(document: dict[str, Any]) -> None:
    """What each recipe reached in the same time, by seed."""
    print_table(
        ("recipe", "seed", "steps", "SSIM", "MSE"),
        [
            (row["recipe"], str(row["seed"]), str(row["steps"]), f"{row['test']['ssim']:.4f}", f"{row['test']['mse']:.2f}")
            for row in document["rows"]
        ],
    )
    gains = ", ".join(f"{gain:+.4f}" for gain in document["gain"]["by_seed"])
    say(f"test SSIM after {document['seconds']:g} s, default minus article: {document['gain']['mean']:+.4f} ({gains})")


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
        say("no trial is finished yet")
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
