"""What a step's parts cost on this device: each cell's convolutions, the pointwise part, and the whole step.

Convolutions: forward, gradient of the frames, gradient of the weights, of one step's state and of all steps' input at once;
NHWC and NCHW, with the channels that a cell has, one more (what concatenating a frame would give) and that rounded up to eight.
Pointwise part: eager, compiled and as this project's kernels. The step: launched kernel by kernel and replayed from graphs.

For a GPU: `python benchmarks/kernels.py --json > kernels.json`. `--device cpu --preset tiny --quick` tries the script anywhere.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from harness.bench.peak import measure_peaks
from harness.bench.speed import CONTENDERS, Stepper
from harness.data.source import open_source
from harness.evaluation.cost import median_seconds
from harness.model import fused, pointwise
from harness.model.build import build_model
from harness.model.cell import ConvLSTM
from harness.model.graphs import WARM_UPS, Graphed
from harness.presets import preset
from harness.runs.request import resolve
from harness.system.environment import environment

LAYOUTS = {"NHWC": torch.channels_last, "NCHW": torch.contiguous_format}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--batch", type=int, default=None, help="sequences (default: the preset's)")
    parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--seconds", type=float, default=0.3, help="how long each row is repeated (default 0.3)")
    parser.add_argument("--quick", action="store_true", help="compile nothing and measure no peaks: to try the script")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    arguments = parser.parse_args()
    device, kind = torch.device(arguments.device), getattr(torch, arguments.precision)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA here; --device cpu --preset tiny tries the script")
    experiment = resolve(preset(arguments.preset), arguments.device)
    experiment = experiment.replace({"training.batch_size": arguments.batch or experiment.training.batch_size})
    batch, data = experiment.training.batch_size, experiment.data

    def milliseconds(work: Callable[[], object]) -> float:
        def once() -> None:
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return 1e3 * median_seconds(once, arguments.seconds, warm_up=3)

    rows: list[dict[str, Any]] = []

    def row(part: str, what: str, work: Callable[[], object], flops: float = 0.0) -> None:
        try:
            took = milliseconds(work)
        except Exception as error:  # a compiler that is missing is a row, not the end
            rows.append({"part": part, "what": what, "error": " ".join(f"{type(error).__name__}: {error}".split())[:160]})
            return
        rows.append({"part": part, "what": what, "ms": took, "flops_per_second": flops / took * 1e3 if flops else None})

    source = open_source(data)
    model = build_model(experiment.architecture, source.shape, 0)
    sizes: dict[str, int] = {}
    for name, layer in cells(model):
        size = data.canvas // experiment.architecture.patch // 2 ** int(name[-1])
        sizes[name] = size
        inputs = 0 if layer.input_weight is None else layer.input_weight.shape[1]
        for read, channels, count in (("state", layer.channels, batch), ("input", inputs, batch * data.horizon)):
            for used in sorted({channels, channels + 1, -(-(channels + 1) // 8) * 8}):
                for layout in LAYOUTS:
                    frames = torch.randn(count, used, size, size, device=device, dtype=kind).to(
                        memory_format=LAYOUTS[layout]
                    )
                    weight = torch.randn(4 * layer.channels, used, layer.kernel, layer.kernel, device=device, dtype=kind)
                    weight = weight.to(memory_format=LAYOUTS[layout])
                    convolutions(row, f"{name} {read}, {used} channels, {layout}", frames, weight)
    for name, layer in cells(model):
        gates = torch.randn(batch, 4 * layer.channels, sizes[name], sizes[name], device=device, dtype=kind)
        gates = gates.to(memory_format=torch.channels_last)
        pointwise_parts(row, name, gates, compiled=not arguments.quick)
    stepper = Stepper(next(one for one in CONTENDERS if one.name == "fast"), experiment, source.shape, device)
    feed = partial(source.train_batch, 0, 0, batch, data.horizon, device)
    if isinstance(stepper.network, Graphed):
        for _ in range(WARM_UPS):
            stepper.step(feed)
        row("step", "replayed from graphs", lambda: stepper.step(feed))
        stepper.network.drop()
        stepper.network = stepper.model
    row("step", "launched kernel by kernel", lambda: stepper.step(feed))
    document = {
        "preset": arguments.preset,
        "batch": batch,
        "precision": arguments.precision,
        "rows": rows,
        "peaks": None if arguments.quick else measure_peaks(device, [arguments.precision]),
        "environment": environment(arguments.device),
    }
    if arguments.json:
        print(json.dumps(document))
        return
    for one in rows:
        rate = f"{one['flops_per_second'] / 1e12:8.2f} TFLOP/s" if one.get("flops_per_second") else ""
        said = one["error"] if "error" in one else f"{one['ms']:10.3f} ms {rate}"
        print(f"{one['part']:10} {one['what']:60} {said}")


def cells(model: torch.nn.Module) -> Iterator[tuple[str, ConvLSTM]]:
    """The ConvLSTM layers by name; the number at its end is the level."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, ConvLSTM))


def convolutions(row: Callable[..., None], what: str, frames: torch.Tensor, weight: torch.Tensor) -> None:
    """Rows of one convolution and of its gradients."""
    padding = weight.shape[-1] // 2
    out = torch.nn.functional.conv2d(frames, weight, padding=padding)
    flops = 2.0 * out.numel() * weight[0].numel()
    row("forward", what, lambda: torch.nn.functional.conv2d(frames, weight, padding=padding), flops)
    for part, wanted in (("dgrad", [True, False, False]), ("wgrad", [False, True, False])):
        given = (out, frames, weight, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], 1, wanted)
        row(part, what, partial(torch.ops.aten.convolution_backward, *given), flops)


def pointwise_parts(row: Callable[..., None], name: str, gates: torch.Tensor, compiled: bool) -> None:
    """Rows of the pointwise part of one step, forward and backward. Gates are overwritten, which changes no time."""
    like = gates.chunk(4, dim=1)[0]
    hidden, hidden_grad = (torch.empty_like(like, memory_format=torch.channels_last) for _ in range(2))
    cell, cell_grad = (torch.zeros_like(like, dtype=torch.float32) for _ in range(2))
    ways = {"eager": pointwise.PLAIN}
    if compiled:
        ways["compiled"] = pointwise.Pointwise(*map(torch.compile, pointwise.PLAIN))
    if fused.takes(gates):
        ways["fused"] = fused.POINTWISE
    for way, functions in ways.items():
        row("pointwise", f"{name}, {way}, forward", partial(functions.update, gates, cell, hidden))
        row("pointwise", f"{name}, {way}, backward", partial(functions.backward, gates, cell, cell, hidden_grad, cell_grad))


if __name__ == "__main__":
    main()
