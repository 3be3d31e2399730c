"""`harness bench`: speed of training and inference, or quality after equal time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from harness.cli.options import DeviceOptions, JsonOption, PresetOptions, expand_options
from harness.errors import HarnessError
from harness.options import option
from harness.system.console import emit, note, print_table, say

CONTENDERS = "fast,fast-float32,fast-bf16,reference-float32,article-float32,article-bf16,onnx"


@expand_options
def bench(
    *,
    asked: PresetOptions,
    batch: int | None = option(None, "Sequences per step. Default: the preset's."),
    rounds: int = option(5, "Measured rounds of every contender."),
    contenders: str | None = option(None, f"Some of {CONTENDERS}. Default: all; onnx predicts only, where it is installed."),
    check: Path | None = option(None, "Recorded ratios; fail when one drops by a fifth."),
    quality: bool = option(False, "Instead: test SSIM after equal time, default against the article's recipe."),
    seconds: float = option(100.0, "Training time, with --quality."),
    seeds: int = option(3, "Number of seeds, with --quality."),
    where: DeviceOptions,
    as_json: JsonOption = False,
) -> None:
    """Measure training and inference against the reference and the article's literal cell."""
    from harness.bench import speed as benchmark
    from harness.system.devices import choose_device

    request = asked.request(choose_device(where.device), where.digits)
    if quality:
        from harness.bench.quality import quality as measure

        found = measure(request.preset, request.device, seconds=seconds, seeds=seeds, digits=request.digits, note=note)
        emit(found) if as_json else print_quality(found)
        return
    names = [name.strip() for name in contenders.split(",")] if contenders else None
    document = benchmark.bench(
        request.preset, request.device, batch=batch, rounds=rounds, names=names, digits=request.digits, note=note
    )
    emit(document) if as_json else print_bench(document)
    if check is not None and (complaints := benchmark.check(document, check)):
        raise HarnessError("slower than recorded: " + "; ".join(complaints))


def print_bench(document: dict[str, Any]) -> None:
    """The contenders of a benchmark, and their ratios."""
    peaks = document["peaks"]
    how = f"{document['rounds']} rounds, {document['clock']} time"
    say(f"preset {document['preset']}, batch {document['batch']}, {how}, on {document['device']}")
    reached = [f"{flops / 1e9:,.0f} GFLOP/s in {precision}" for precision, flops in peaks["flops_per_second"].items()]
    say(f"peak here: {', '.join(reached)}; {peaks['bytes_per_second'] / 1e9:,.1f} GB/s")
    for kind in ("training", "inference"):
        rows = [_cells(kind, row) for row in document[kind]]
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    for pair, by_kind in document["ratios"].items():
        say(f"{pair}: " + ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in by_kind.items()))


def _cells(kind: str, row: dict[str, Any]) -> dict[str, str]:
    """A contender's cells by heading."""
    training = kind == "training"
    phases = {phase: f"{ms:.1f}" for phase, ms in row["ms"].items()} if training else {}
    return {
        kind: row["contender"],
        "precision": row["precision"],
        **({} if training else {"batch": str(row["batch"])}),
        "seq/s": _three(row["sequences_per_second"]),
        "frames/s": _three(row["frames_per_second"]),
        **({"ms/step": f"{row['ms_per_step']:.1f}"} if training else {"ms": f"{row['ms']:.1f}"}),
        "fastest-slowest": f"{row['ms_fastest']:.1f}-{row['ms_slowest']:.1f}",
        **phases,
        "GFLOP/s": f"{row['flops_per_second'] / 1e9:,.0f}",
        "of peak": f"{row['share_of_peak']:.0%}",
        "MiB": _mebibytes(row),
    }


def _mebibytes(row: dict[str, Any]) -> str:
    """Allocated, and reserved where that is known; empty where neither is."""
    reserved = f"/{row['reserved_bytes'] / 2**20:,.0f}" if row["reserved_bytes"] else ""
    return "" if row["memory_bytes"] is None else f"{row['memory_bytes'] / 2**20:,.0f}{reserved}"


def _three(figure: float) -> str:
    """At least three significant digits."""
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
