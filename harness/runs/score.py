"""Predictions without a training as runs of the store: a file of them, or a predictor that is called here."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.data.frames import open_frames
from harness.data.source import Source
from harness.errors import HarnessError, RequestError
from harness.evaluation.baselines import evaluate_beside_baselines
from harness.evaluation.conventions import CONVENTIONS, HEADLINE, describe_metrics
from harness.evaluation.metrics.in_unit import measured_on
from harness.evaluation.micro_batches import MicroBatcher
from harness.evaluation.predict import Predictor
from harness.options import RunOptions
from harness.runs.context import Context
from harness.runs.hooked import hooked
from harness.runs.outcome import Outcome, finished
from harness.runs.request import Request
from harness.runs.result import keep_metrics
from harness.runs.smoke_test import smoke_test
from harness.store import Cell, DamagedRecord, Run, Store, key_of
from harness.store.status import scan
from harness.system.environment import describe_device, environment
from harness.variant import Variants
from harness.version import REVISIONS

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
FARTHEST = 10.0
"""Predictions beyond this on either side of 0 are on another scale than [0, 1]; closer ones are clamped, as a network's are."""
_UNKNOWN = ("steps", "seconds", "sequences_per_second", "skipped_steps", "best_step", "validation_ssim")


@dataclass(frozen=True)
class Made:
    """Predictions made elsewhere: what to call them, where they come from, and how to get them."""

    name: str
    seed: int
    origin: str
    predictor: Predictor


def from_file(path: Path, source: Source) -> Predictor:
    """The predictions of a .npy or .npz file, (N, horizon, C, H, W), of the test sequences in their order.

    Raises RequestError when the file is unusable or has another shape.
    """
    file = open_frames(path, "NTHW")
    wanted = (source.test_sequences, source.data.horizon, source.channels, source.height, source.width)
    if file.frames_NTCHW.shape != wanted:
        raise RequestError(
            f"{path} has the shape {file.stored.shape}; predictions of these test sequences are (sequences, horizon, channels, "
            f"height, width) = {wanted}. `harness data export` writes the sequences"
        )
    if file.dtype != np.uint8 and file.dtype.kind != "f":
        raise RequestError(f"{path} holds {file.dtype} values; predictions are floats in [0, 1], or bytes (uint8)")
    return _File(file.frames_NTCHW)


class _File:
    """Answers with the next predictions of an array, whatever it is shown."""

    def __init__(self, frames_NTCHW: Any) -> None:
        self.frames, self.at = frames_NTCHW, 0

    def __call__(self, inputs_BTCHW: Tensor, horizon: int) -> Tensor:
        part = np.array(self.frames[self.at : self.at + len(inputs_BTCHW)])
        self.at += len(part)
        unit = part.astype(np.float32) / np.float32(255) if part.dtype == np.uint8 else part.astype(np.float32)
        return torch.from_numpy(unit).to(inputs_BTCHW.device)


def from_text(text: str, device: torch.device) -> Predictor:
    """The predictor (inputs (B, T, C, H, W), horizon) -> (B, horizon, C, H, W) that a text names.

    A TorchScript file (.pt), an ONNX file (.onnx), or a Python function (module:function; the current folder is searched
    first). Raises RequestError when there is none.
    """
    try:
        if text.endswith((".pt", ".onnx")) and not Path(text).is_file():
            raise RequestError(f"--predictor {text}: there is no such file")
        if text.endswith(".pt"):
            with warnings.catch_warnings():  # TorchScript is deprecated, and people have files of it
                warnings.simplefilter("ignore", DeprecationWarning)
                scripted: Predictor = torch.jit.load(text, map_location=device).eval()  # type: ignore[no-untyped-call]
            return scripted
        if text.endswith(".onnx"):
            return _onnx(text)
        module, colon, function = text.partition(":")
        if not colon or not all(part.isidentifier() for part in f"{module}.{function}".split(".")):
            raise RequestError(f"--predictor {text!r}; write module:function, or name a .pt or .onnx file")
        with _here_first():
            found: Any = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except RequestError:
        raise
    except Exception as error:  # another author's code or file
        raise RequestError(f"--predictor {text} cannot be loaded: {type(error).__name__}: {_line(error)}") from None
    if not callable(found):
        raise RequestError(f"--predictor {text} is {type(found).__name__}, which cannot be called")
    predictor: Predictor = found.eval() if isinstance(found, nn.Module) else found
    return predictor


def _onnx(path: str) -> Predictor:
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError:
        raise RequestError(f"--predictor {path}: ONNX needs onnxruntime; pip install onnxruntime") from None
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(inputs_BTCHW: Tensor, horizon: int) -> Tensor:
        return torch.from_numpy(session.run(None, {name: inputs_BTCHW.cpu().numpy()})[0]).to(inputs_BTCHW.device)

    return predict


@contextmanager
def _here_first() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


class _Checked:
    """Passes a predictor's answers on, checked, and hashes them. Raises RequestError for answers that cannot be judged."""

    def __init__(self, made: Made) -> None:
        self.made, self.hashed, self.done = made, hashlib.sha256(), 0

    def __call__(self, inputs_BTCHW: Tensor, horizon: int) -> Tensor:
        origin, wanted = self.made.origin, (len(inputs_BTCHW), horizon, *inputs_BTCHW.shape[2:])
        try:
            answer = self.made.predictor(inputs_BTCHW.clone(), horizon)
        except RequestError:
            raise
        except Exception as error:  # another author's code
            raise RequestError(f"{origin} fails on the test sequences: {type(error).__name__}: {_line(error)}") from None
        if not isinstance(answer, Tensor) or answer.shape != wanted or not answer.is_floating_point():
            got = f"{tuple(answer.shape)} of {answer.dtype}" if isinstance(answer, Tensor) else f"a {type(answer).__name__}"
            raise RequestError(f"{origin} predicted {got}; wanted is a tensor of floats of the shape {wanted}")
        answer = answer.detach().to(inputs_BTCHW.device, torch.float32)
        for index, sequence in enumerate(answer, self.done):
            if not bool(sequence.isfinite().all()):
                raise RequestError(f"{origin}: the prediction of test sequence {index} holds NaN or infinite values")
            if (far := float(sequence.abs().max())) > FARTHEST:
                raise RequestError(
                    f"{origin}: the prediction of test sequence {index} reaches {far:g}; predictions are intensities in [0, 1]: "
                    "scale them, or save bytes as uint8"
                )
        self.done += len(answer)
        self.hashed.update(np.ascontiguousarray(answer.cpu().numpy()).reshape(-1).view(np.uint8).data)
        return answer


def score_all(
    files: Sequence[Path],
    predictor: str | Predictor | None,
    name: str,
    seed: int,
    request: Request,
    variants: Variants,
    store: Store,
) -> list[Outcome]:
    """Scores files of predictions, each as the next seed, or one predictor: a function, or text as `from_text` takes it.

    Raises RequestError when both or neither are given, the name is taken by a variant, or predictions are unusable.
    """
    if bool(files) == (predictor is not None):
        raise RequestError("name files of predictions, or one --predictor; `harness data export` writes what to predict")
    if not NAME.fullmatch(name):
        raise RequestError(f"--name {name!r}; use lower-case letters, digits, '-' and '_', at most 64")
    if name in variants.names:
        raise RequestError(f"--name {name}: a variant has that name; choose another")
    cell, source = request.cell(variants, "base")
    if isinstance(predictor, str):
        made = [Made(name, seed, predictor, from_text(predictor, torch.device(request.device)))]
    elif predictor is not None:
        said = f"{getattr(predictor, '__module__', '')}:{getattr(predictor, '__qualname__', type(predictor).__name__)}"
        made = [Made(name, seed, said, predictor)]
    else:
        made = [Made(name, seed + at, path.name, from_file(path, source)) for at, path in enumerate(files)]
    return [score(one, cell, source, store, request.device) for one in made]


def score(made: Made, cell: Cell, source: Source, store: Store, device: str) -> Outcome:
    """Tests predictions beside the baselines on the test sequences of `cell`, and stores a run.

    Of the cell, only data, metrics and preset count. The run's id is that of predictions, test sequences, name and seed. Raises
    RequestError when the predictions are unusable.
    """
    data, result, sequences = cell.experiment.data, *_test(made, cell, source, device)
    digest, test = result["predictions"]["sha256"], result["test_digest"]
    frames = [data.input_frames, data.horizon]
    run_id = key_of({"predictions": digest, "test": test, "frames": frames, "name": made.name, "seed": made.seed})
    common = {
        "run_id": run_id,
        "variant": made.name,
        "preset": cell.preset,
        "seed": made.seed,
        "training_key": key_of({"predictions": digest}),
        "revisions": REVISIONS,
    }
    record = common | {
        "predictions": result["predictions"],
        "changes": ["predictions"],
        "sources": {},
        "identity": {"evaluation": cell.identity["evaluation"]},
        "experiment": {"data": cell.experiment.to_dict()["data"]},
    }
    _refuse_twin(store, made, digest, test)
    run = Run(store.part("runs") / run_id)
    with store.own(run):
        return _stored(run, record, common | result, sequences, device)


def run_untrained(cell: Cell, store: Store, source: Source, options: RunOptions, context: Context) -> Outcome:
    """Answers a cell whose predictor takes the network's place from the store, or tests the predictor.

    Raises RequestError when it cannot predict these frames.
    """
    predictor, run = cell.experiment.inference.predictor, store.run(cell)
    with ExitStack() as stack:  # nobody waits for a lock while hooks are waited for
        with store.own(run):
            if context.force:
                store.set_aside(run)
            else:
                with suppress(DamagedRecord):
                    if (outcome := finished(store, cell, context.note)) is not None:
                        return outcome
            context.turn.join()
            hooks = stack.enter_context(hooked(cell, store, options, context.note))
            smoke_test(cell.experiment, source)
            made = Made(cell.variant, cell.seed, f"{predictor.slot}={predictor.name}", predictor.build(source.shape))
            result, sequences = _test(made, cell, source, context.device)
            names = ("run_id", "variant", "preset", "seed", "training_key", "revisions")
            record = cell.record() | {"predictions": result["predictions"]}
            outcome = _stored(run, record, {name: record[name] for name in names} | result, sequences, context.device)
        hooks.end(outcome.result)
    return outcome


def _test(made: Made, cell: Cell, source: Source, device: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a result says of a test, and the headline metric of each sequence."""
    experiment, checked = cell.experiment, _Checked(made)
    metrics = measured_on(source.values, experiment.metrics)
    torch.manual_seed(made.seed)
    size = min(experiment.training.batch_size, source.test_sequences)
    try:
        scores = evaluate_beside_baselines(
            checked, source, metrics, size=size, device=device, micro_batches=MicroBatcher(size)
        )
    except RuntimeError as error:
        raise HarnessError(f"{made.origin} cannot be tested: {_line(error)}") from error
    baselines = [name for name in scores if name != "model"]
    result = {
        "predictions": {"sha256": checked.hashed.hexdigest(), "origin": made.origin},
        "status": "finished",
        "params": None,
        "flops_per_sequence": None,
        "metrics": scores["model"].overall(),
        "metrics_per_frame": scores["model"].per_frame(),
        "baselines": {name: scores[name].overall() for name in baselines},
        "baselines_per_frame": {name: scores[name].per_frame() for name in baselines},
        "training": dict.fromkeys(_UNKNOWN),
        "inference": {"frames_per_second": None},
        "memory": {},
        "device": describe_device(device),
        "digits": source.digits,
        "test_digest": source.test_digest(),
        "conventions": CONVENTIONS,
        "measured": describe_metrics(metrics),
    }
    return result, {HEADLINE: scores["model"].per_sequence(HEADLINE)}


def _stored(
    run: Run, record: Mapping[str, Any], result: dict[str, Any], sequences: Mapping[str, Any], device: str
) -> Outcome:
    """Writes a run. For the holder of its lock."""
    if (earlier := run.read_or_none("result.json")) is not None:
        keep_metrics(earlier, result)
    run.write("experiment.json", record)
    run.write("environment.json", environment(device))
    run.write("sequences.json", sequences)
    run.write("result.json", result)
    return Outcome(run.read("result.json"), run.path)


def _refuse_twin(store: Store, made: Made, digest: str, test: str) -> None:
    """Raises RequestError when another seed of that name has the same predictions: equal seeds would make any verdict certain."""
    for one in scan(store):
        result, record = one.result or {}, one.record.get("predictions")
        same = isinstance(record, dict) and record.get("sha256") == digest and result.get("test_digest") == test
        if same and one.record.get("variant") == made.name and one.record.get("seed") != made.seed:
            raise RequestError(
                f"{made.origin} as seed {made.seed} holds the predictions that are seed {one.record.get('seed')} of {made.name!r} "
                "already; several seeds are several trainings"
            )
