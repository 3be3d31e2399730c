"""`harness bench`: how fast the shared trainer is, against its reference, the article's literal cell and onnxruntime, in one run.

Contenders take turns (A, B, C, A, B, C, ...) on the same batch, each with the preset's optimizer; the first round (on CUDA
the first three, in which graphs are made) warms up and is not counted; medians are reported with the fastest and slowest.
Times are of the wall clock, or of the processor for one thread on the CPU. Compare ratios of one run: absolute times depend
on what else the machine does. The share of peak is of forward and backward, whose operations can be counted.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.bench.article import ArticleForecaster
from harness.bench.peak import CLOCKS, clock_of, measure_peaks
from harness.component import Shape
from harness.data.source import open_source
from harness.errors import HarnessError, RequestError, unknown
from harness.evaluation.cost import forget_peak, forward_cost, peak_memory
from harness.evaluation.predict import predict
from harness.experiment import Experiment
from harness.model.build import build_model, use_reference
from harness.model.graphs import WARM_UPS, graphed
from harness.presets import preset
from harness.runs.export import Whole, write_onnx
from harness.runs.request import resolve
from harness.system.environment import describe_device, environment
from harness.system.precision import exact_float32
from harness.training.build import build_loss, build_optimizer
from harness.training.checkpoint import on_device
from harness.training.step import GradientAccumulator, train_step

PHASES = ("data", "forward", "backward", "optimiser")
LOSS_ALLOWED = 0.2
"""Share of its recorded ratio that the fast path may lose before `check` fails."""


@dataclass(frozen=True)
class Contender:
    """A way to run the base network: how to build it, and in which precision (None: the experiment's own)."""

    name: str
    build: Callable[[Any], nn.Module]
    precision: str | None
    trains: bool = True
    """Whether it can train; otherwise it is measured in predicting alone."""


CONTENDERS = (
    Contender("fast", lambda model: model, None),
    Contender("fast-float32", lambda model: model, "float32"),
    Contender("fast-bf16", lambda model: model, "bfloat16"),
    Contender("reference-float32", use_reference, "float32"),
    Contender("article-float32", ArticleForecaster, "float32"),
    Contender("article-bf16", ArticleForecaster, "bfloat16"),
    Contender("onnx", lambda model: model, "float32", trains=False),
)


def bench(
    preset_name: str,
    device_name: str,
    *,
    batch: int | None = None,
    rounds: int = 5,
    names: Sequence[str] | None = None,
    digits: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measures training steps and inference of the contenders; plain values for --json.

    Args:
        batch: sequences a training step and an inference batch; the preset's if None. Inference is measured at 1 as well.
        rounds: counted turns of each contender.
        names: contenders; if None all, except those that equal `fast`, and `onnx` unless it is installed and the device a CPU.
    """
    for name, count in (("--rounds", rounds), ("--batch", batch)):
        if count is not None and count < 1:
            raise RequestError(f"{name} {count}; give at least 1")
    experiment = resolve(preset(preset_name), device_name)
    chosen = [_contender(name) for name in names] if names else [*CONTENDERS]
    if not names:
        chosen = [c for c in chosen if not (_is_fast(c.name) and c.precision == experiment.training.precision)]
        chosen = [c for c in chosen if c.name != "onnx" or (device_name == "cpu" and _has_onnx())]
    if batch is not None:
        experiment = experiment.replace({"training.batch_size": batch})
    size = experiment.training.batch_size
    device = torch.device(device_name)
    source = open_source(experiment.data, digits)
    params, flops = forward_cost(experiment, source.shape, experiment.data.horizon)
    steppers: dict[str, Stepper | OnnxPredictor] = {}
    for one in chosen:
        note(f"making ready: {one.name}")
        steppers[one.name] = _stepper(one, experiment, source.shape, device)
    times: dict[str, list[dict[str, float]]] = {one.name: [] for one in chosen}
    warm = WARM_UPS if device.type == "cuda" else 1
    for turn in range(1 - warm, rounds + 1):
        for name, stepper in steppers.items():
            if not isinstance(stepper, Stepper):
                continue
            note(f"training step, {'warm-up' if turn < 1 else f'round {turn} of {rounds}'}: {name}")
            measured = stepper.step(partial(source.train_batch, 0, max(turn, 0), size, experiment.data.horizon, device))
            if turn > 0:
                times[name].append(measured)
    peaks = measure_peaks(device, sorted({stepper.precision for stepper in steppers.values()}))
    most = {name: peaks["flops_per_second"][stepper.precision] for name, stepper in steppers.items()}
    memory = {}
    for one in chosen:
        if one.trains:
            note(f"memory: {one.name}")
            memory[one.name] = memory_of(one.name, preset_name, size, device_name, digits)
        else:  # onnxruntime's is its own, and what exported the network is in the way
            none: dict[str, int | None] = {"memory_bytes": None, "reserved_bytes": None}
            memory[one.name] = {f"inference at batch {count}": none for count in (1, size)}
    training = []
    for one in (some for some in chosen if some.trains):
        totals = [sum(step[phase] for phase in PHASES) for step in times[one.name]]
        compute = statistics.median(step["forward"] + step["backward"] for step in times[one.name])
        training.append(
            {
                "contender": one.name,
                "batch": size,
                "precision": steppers[one.name].precision,
                "sequences_per_second": size / statistics.median(totals),
                "frames_per_second": size * experiment.data.horizon / statistics.median(totals),
                "ms_per_step": 1e3 * statistics.median(totals),
                "ms_fastest": 1e3 * min(totals),
                "ms_slowest": 1e3 * max(totals),
                "ms": {phase: 1e3 * statistics.median(step[phase] for step in times[one.name]) for phase in PHASES},
                "flops_per_second": 3 * flops * size / compute,
                "share_of_peak": 3 * flops * size / compute / most[one.name],
                **memory[one.name]["training"],
            }
        )
    inference = []
    for count in dict.fromkeys((1, size)):
        frames = source.train_batch(0, 0, count, 1, device)[:, : experiment.data.input_frames]
        seconds: dict[str, list[float]] = {one.name: [] for one in chosen}
        for turn in range(1 - warm, rounds + 1):
            for name, stepper in steppers.items():
                note(f"inference at batch {count}, {'warm-up' if turn < 1 else f'round {turn} of {rounds}'}: {name}")
                took = stepper.infer(frames)
                if turn > 0:
                    seconds[name].append(took)
        for one in chosen:
            middle = statistics.median(seconds[one.name])
            inference.append(
                {
                    "contender": one.name,
                    "batch": count,
                    "precision": steppers[one.name].precision,
                    "sequences_per_second": count / middle,
                    "frames_per_second": count * experiment.data.horizon / middle,
                    "ms": 1e3 * middle,
                    "ms_fastest": 1e3 * min(seconds[one.name]),
                    "ms_slowest": 1e3 * max(seconds[one.name]),
                    "flops_per_second": flops * count / middle,
                    "share_of_peak": flops * count / middle / most[one.name],
                    **memory[one.name][f"inference at batch {count}"],
                }
            )
    return {
        "preset": preset_name,
        "batch": size,
        "rounds": rounds,
        "clock": clock_of(device),
        "params": params,
        "flops_per_sequence": flops,
        "training": training,
        "inference": inference,
        "ratios": ratios(training, inference),
        "device": describe_device(device_name),
        "peaks": peaks,
        "environment": environment(device_name),
    }


def ratios(training: Sequence[dict[str, Any]], inference: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Each fast contender over every slow one, by "FAST over SLOW": speed of a training step, its memory (below 1 is less),
    speed of inference."""
    found: dict[str, dict[str, float]] = {}
    names = list(dict.fromkeys(row["contender"] for row in inference))
    for fast in (name for name in names if _is_fast(name)):
        for slow in (name for name in names if not _is_fast(name)):
            pair = found[f"{fast} over {slow}"] = {}
            ours, theirs = _row(training, fast), _row(training, slow)
            if ours and theirs:
                pair["training"] = theirs["ms_per_step"] / ours["ms_per_step"]
                if ours["memory_bytes"] and theirs["memory_bytes"]:
                    pair["memory"] = ours["memory_bytes"] / theirs["memory_bytes"]
            for row in inference:
                if row["contender"] == fast:
                    other = next(one for one in inference if (one["contender"], one["batch"]) == (slow, row["batch"]))
                    pair[f"inference batch {row['batch']}"] = other["ms"] / row["ms"]
    return found


def _is_fast(name: str) -> bool:
    return name.startswith("fast")


def _row(rows: Sequence[dict[str, Any]], name: str) -> Any:
    return next((row for row in rows if row["contender"] == name), None)


def _has_onnx() -> bool:
    return all(importlib.util.find_spec(name) for name in ("onnxscript", "onnxruntime"))


def _contender(name: str) -> Contender:
    found = {one.name: one for one in CONTENDERS}
    if name not in found:
        raise unknown("contender", name, found)
    return found[name]


class Stepper:
    """A contender with its own network, of the same first weights, and its own optimizer."""

    def __init__(self, contender: Contender, experiment: Experiment, shape: Shape, device: torch.device) -> None:
        self.experiment, self.device = experiment, device
        self.precision = contender.precision or experiment.training.precision
        self.model = contender.build(build_model(experiment.architecture, shape, 0)).to(device)
        if _is_fast(contender.name):
            self.model = on_device(self.model, device)
        self.network = graphed(self.model, device, _is_fast(contender.name))
        self.optimizer = build_optimizer(experiment, self.model)

    def _switches(self) -> AbstractContextManager[object]:
        return exact_float32(self.device) if self.precision == "float32" else nullcontext()

    def step(self, batch: Callable[[], Tensor]) -> dict[str, float]:
        """One training step; seconds by phase."""
        data, loss = self.experiment.data, build_loss(self.experiment)
        marks = [self._now()]
        frames = batch()
        marks.append(self._now())

        def forward_ends(prediction: Tensor, target: Tensor, progress: float) -> Tensor:
            found = loss(prediction, target, progress)
            marks.append(self._now())
            return found

        with self._switches():
            train_step(
                self.network,
                self.optimizer,
                frames,
                shown=data.input_frames,
                horizon=data.horizon,
                progress=1.0,
                loss=forward_ends,
                schedule=lambda peak: {},
                batch=GradientAccumulator.whole(len(frames)),
                precision=self.precision,
                clip_norm=1.0,
                meanwhile=lambda: marks.append(self._now()),
            )
        marks.append(self._now())
        return {phase: after - before for phase, before, after in zip(PHASES, marks[:-1], marks[1:], strict=True)}

    def infer(self, inputs: Tensor) -> float:
        """Seconds to predict one batch."""
        started = self._now()
        with self._switches():
            predict(self.network, inputs, self.experiment.data.horizon, precision=self.precision)
        return self._now() - started

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return CLOCKS[clock_of(self.device)]()


class OnnxPredictor:
    """The network as `harness export --to onnx` writes it, in onnxruntime on the CPU: it predicts, and cannot train."""

    precision = "float32"

    def __init__(self, experiment: Experiment, shape: Shape) -> None:
        frames = torch.zeros(2, experiment.data.input_frames, shape.channels, shape.height, shape.width)
        whole = Whole(build_model(experiment.architecture, shape, 0), experiment.data.horizon).eval()
        with tempfile.TemporaryDirectory() as folder:
            self._answer = write_onnx(whole, frames, Path(folder) / "network.onnx")

    def infer(self, inputs: Tensor) -> float:
        """Seconds to predict one batch."""
        clock = CLOCKS[clock_of(inputs.device)]
        started = clock()
        self._answer(inputs)
        return clock() - started


def _stepper(contender: Contender, experiment: Experiment, shape: Shape, device: torch.device) -> Stepper | OnnxPredictor:
    if contender.trains:
        return Stepper(contender, experiment, shape, device)
    if device.type != "cpu":
        raise RequestError(f"the contender {contender.name} is measured on the CPU; the device is {device}: --device cpu")
    return OnnxPredictor(experiment, shape)


def memory_of(
    name: str, preset_name: str, batch: int, device_name: str, digits: Path | None
) -> dict[str, dict[str, int | None]]:
    """Peak memory of a contender's training step and of its inference, measured in a separate process.

    On a GPU what tensors took (`memory_bytes`) and the allocator reserved; on the CPU how much the process grew after the
    network and the batch were ready.
    """
    words = [sys.executable, "-m", "harness.bench.speed", name, preset_name, str(batch), device_name, str(digits or "")]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError(f"the memory of {name!r} could not be measured: {(done.stderr or 'no message').splitlines()[-1]}")
    found: dict[str, dict[str, int | None]] = json.loads(done.stdout)
    return found


def _memory_here(name: str, preset_name: str, batch: int, device_name: str, digits: str) -> dict[str, dict[str, int | None]]:
    experiment = resolve(preset(preset_name), device_name).replace({"training.batch_size": batch})
    device = torch.device(device_name)
    source = open_source(experiment.data, Path(digits) if digits else None)
    stepper = Stepper(_contender(name), experiment, source.shape, device)
    frames = source.train_batch(0, 0, batch, experiment.data.horizon, device)
    shown = frames[:, : experiment.data.input_frames]
    before = 0
    if device.type == "cpu":
        before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def measured(work: Callable[[], object]) -> dict[str, int | None]:
        forget_peak(device)
        for _ in range(1 if device.type == "cpu" else WARM_UPS + 1):
            work()
        found = peak_memory(device)
        if device.type == "cuda":
            return {"memory_bytes": found["allocated_bytes"], "reserved_bytes": found["reserved_bytes"]}
        return {"memory_bytes": (found["host_peak_bytes"] or 0) - before, "reserved_bytes": None}

    # From the smallest to the largest: the next uses what the allocator keeps of the one before.
    found = {f"inference at batch {count}": measured(lambda: stepper.infer(shown[:count])) for count in sorted({1, batch})}  # noqa: B023  # called at once
    return found | {"training": measured(lambda: stepper.step(lambda: frames))}


def check(document: dict[str, Any], recorded: Path) -> list[str]:
    """Recorded ratios of speed that lost more than a fifth, or were not measured.

    Raises RequestError for a record that cannot be read or is of another preset.
    """
    try:
        before = json.loads(recorded.read_text())
        wanted = {(pair, kind): float(ratio) for pair, kinds in before["ratios"].items() for kind, ratio in kinds.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RequestError(f"cannot read the recorded ratios {recorded}: {error}") from None
    if before.get("preset", document["preset"]) != document["preset"]:
        raise RequestError(f"{recorded} was recorded at preset {before['preset']}; this is {document['preset']}")
    complaints = []
    for (pair, kind), ratio in wanted.items():
        now = document["ratios"].get(pair, {}).get(kind)
        if now is None:
            complaints.append(f"{pair}, {kind}: recorded, but not measured")
        elif kind != "memory" and now < ratio * (1 - LOSS_ALLOWED):
            complaints.append(f"{pair}, {kind}: {now:.2f} times as fast, recorded were {ratio:.2f}")
    return complaints


if __name__ == "__main__":
    json.dump(_memory_here(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]), sys.stdout)
