"""`harness bench`: speed of training and inference, or quality after equal time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import DeviceOptions, JsonOption, PresetOptions, expand_options
from harness.cli.printing import emit, note, print_table, say
from harness.errors import HarnessError


@expand_options
def bench(
    *,
    asked: PresetOptions,
    batch: Annotated[int | None, typer.Option("--batch", help="Sequences per step. Default: the preset's.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="Measured rounds of every contender.")] = 5,
    contenders: Annotated[
        str | None,
        typer.Option(
            "--contenders",
            help="Some of fast,fast-float32,fast-bf16,reference-float32,article-float32,article-bf16. Default: all.",
        ),
    ] = None,
    check: Annotated[Path | None, typer.Option("--check", help="Recorded ratios; fail when one drops by a fifth.")] = None,
    quality: Annotated[
        bool, typer.Option("--quality", help="Instead: test SSIM after equal time, default against the article's recipe.")
    ] = False,
    seconds: Annotated[float, typer.Option("--seconds", help="Training time, with --quality.")] = 100.0,
    seeds: Annotated[int, typer.Option("--seeds", help="Number of seeds, with --quality.")] = 3,
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
