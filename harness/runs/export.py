"""Trained networks as files for other programs, each with a model card."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from harness.errors import HarnessError, RequestError, unknown
from harness.evaluation.conventions import HEADLINE
from harness.evaluation.cost import median_seconds
from harness.model.build import use_reference
from harness.runs.forecast import Trained
from harness.system import files
from harness.training.checkpoint import weights
from harness.version import __version__
from harness.views import PLAIN, View

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"}
AGREES = 1e-4
"""Largest difference between an exported network and the original."""


class Whole(nn.Module):
    """The network with its horizon fixed and its views averaged: frames (B, T, C, H, W) -> (B, horizon, C, H, W)."""

    def __init__(self, model: nn.Module, horizon: int, views: Sequence[View] = PLAIN) -> None:
        super().__init__()
        # Plain operations and NCHW, which every runtime has.
        self.network = use_reference(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's stub
        self.horizon = horizon
        self.views = list(views)

    def forward(self, frames: Tensor) -> Tensor:
        """The mean over views."""
        found = [view.inverse(self.network(view.forward(frames), self.horizon)) for view in self.views]
        return found[0] if len(found) == 1 else torch.stack(found).mean(0)


def export(trained: Trained, result: dict[str, Any], sequences: dict[str, Any], kind: str, out: Path) -> dict[str, Any]:
    """Writes the network to `out` and its model card beside it, as Markdown; returns what the card says.

    What is written is run once and compared with the network. Raises RequestError for an unknown format, or a library or a network
    that does not allow it; HarnessError when the answers differ.
    """
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS, label="choices")
    if out.suffix != FORMATS[kind]:
        raise RequestError(f"--out {out}: choose a file that ends in {FORMATS[kind]}")
    data, values = trained.experiment.data, trained.values
    frames = torch.rand(
        2, data.input_frames, trained.shape_CHW[0], *values.padded, generator=torch.Generator().manual_seed(0)
    )
    whole = Whole(trained.model, int(data.horizon), trained.experiment.inference.views).eval()
    with torch.no_grad():
        expected = whole(frames)
    out.parent.mkdir(parents=True, exist_ok=True)
    speeds: dict[str, float] = {}
    try:
        if kind == "safetensors":
            from safetensors.torch import save

            about = {"architecture": json.dumps(trained.experiment.to_dict()["architecture"]), "run": trained.run.run_id}
            files.write(out, save(weights(trained.model), about))
            again = expected
        else:
            if kind == "torch-export":
                torch.export.save(_program(whole, frames), out)
                loaded = torch.export.load(out).module()
                with torch.no_grad():
                    again = loaded(frames)
            else:
                again, speeds = _onnx(whole, frames, out)
    except OSError as error:
        raise HarnessError(f"cannot write {out}: {error.strerror or error}; free space or choose another file") from error
    if (off := float((again - expected).abs().max())) > AGREES:
        raise HarnessError(f"{out} answers up to {off:.2g} off the network, more than {AGREES:g}; use another format")
    card = _card(trained, result, sequences, kind, out, off, speeds)
    files.write(card_of(out), _markdown(card).encode())
    return card


def card_of(out: Path) -> Path:
    """The model card beside an exported file: each format of a run has its own."""
    return out.with_name(f"{out.name}.md")


def _program(whole: nn.Module, frames: Tensor) -> torch.export.ExportedProgram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = torch.export.Dim("batch", min=1, max=4096)
            return torch.export.export(whole, (frames,), dynamic_shapes=({0: batch},))
    except Exception as error:  # whatever a network has that a graph has not
        raise RequestError(f"this network cannot be exported as a graph ({_line(error)}); use --to safetensors") from None


def write_onnx(whole: Whole, frames: Tensor, out: Path) -> Callable[[Tensor], Tensor]:
    """Writes the network as ONNX, and returns what onnxruntime answers with that file, on the CPU in as many threads as torch.

    `frames`: two sequences or more to trace it with. Raises RequestError for a missing library or a network that does not allow it.
    """
    try:
        importlib.import_module("onnxscript")
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RequestError(
            f"ONNX needs {error.name}, which is not installed; pip install 'ablation-harness[onnx]'"
        ) from None
    program = _program(whole, frames)
    level = logging.getLogger("torch.onnx").level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                program, (frames,), str(out), dynamo=True, external_data=False, verbose=False, input_names=["frames"]
            )
    except OSError:
        raise
    except Exception as error:  # the converter raises many kinds for what ONNX has no operator for
        raise RequestError(f"this network cannot be written as ONNX ({_line(error)}); use --to torch-export") from None
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(out), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda given: torch.from_numpy(session.run(None, {name: given.numpy()})[0])


def _onnx(whole: Whole, frames: Tensor, out: Path) -> tuple[Tensor, dict[str, float]]:
    """The answer of onnxruntime to the file that this writes, and seconds a sequence of both on the CPU."""
    answer = write_onnx(whole, frames, out)
    use_reference(whole, False)  # as `harness` runs it
    with torch.no_grad():
        ours = median_seconds(lambda: whole(frames[:1]), 0.3)
    return answer(frames), {"torch": ours, "onnxruntime": median_seconds(lambda: answer(frames[:1]), 0.3)}


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


def _card(
    trained: Trained,
    result: dict[str, Any],
    sequences: dict[str, Any],
    kind: str,
    out: Path,
    off: float,
    speeds: dict[str, float],
) -> dict[str, Any]:
    data, values = trained.experiment.data, trained.values
    scores = np.array(sequences[HEADLINE], float)
    half = None
    if len(scores) > 1 and np.isfinite(scores).all():
        half = float(stats.t.ppf(0.975, len(scores) - 1) * scores.std(ddof=1) / len(scores) ** 0.5)
    shape = [trained.shape_CHW[0], *values.padded]
    return {
        "file": out.name,
        "format": kind,
        "run": trained.run.run_id,
        "variant": result["variant"],
        "seed": result["seed"],
        "made_by": f"harness {__version__}",
        "input": ["batch", data.input_frames, *shape],
        "output": ["batch", data.horizon, *shape],
        "trained_on": result.get("data") or {"digits": result["digits"]},
        "values": values.record(),
        "test_sequences": len(scores),
        "metrics": result["metrics"],
        "headline_half_width": half,
        "baselines": {name: one[HEADLINE] for name, one in result["baselines"].items()},
        "conventions": {name: one["convention"] for name, one in result["measured"].items()},
        "largest_difference": off,
        "seconds_a_sequence": speeds,
    }


def _markdown(card: dict[str, Any]) -> str:
    """The card to read; its last block has all of it for programs."""
    values, scaling = card["values"], card["values"]["scaling"]
    data = card["trained_on"]
    lines = [
        f"# {card['variant']}, seed {card['seed']} (run {card['run']})",
        "",
        f"`{card['file']}` ({card['format']}), written by {card['made_by']}. It agrees with the network within "
        f"{card['largest_difference']:.1g}.",
        "",
        f"**Takes** float32 `frames` {tuple(card['input'])} in [0, 1]; **gives** {tuple(card['output'])}. Axes: sequences, frames, "
        "channels, height, width.",
        "",
    ]
    if scaling:
        lines += [
            f"**Scaling** {scaling['name']} of {scaling['low']} to {scaling['high']} {values['unit']}, by channel.",
            "",
        ]
    if values["masked"]:
        lines += [f"**Missing values** are shown as: {values['fill']} ({values['means']}, scaled).", ""]
    if values["size"] != values["padded"]:
        lines += [f"**Padding**: frames of {values['size']} are padded below and right by their border.", ""]
    source = data.get("path") or f"generated sequences of digits ({data['digits']['source']})"
    half = card["headline_half_width"]
    interval = "" if half is None else f" ± {half:.4f} (95% t interval over these sequences, of this one training)"
    lines += [
        f"**Trained on** {source}. **Tested on** {card['test_sequences']} sequences: {HEADLINE} "
        f"{card['metrics'][HEADLINE]:.4f}{interval}.",
        "",
        "| metric | value | convention |",
        "| --- | ---: | --- |",
        *(f"| {name} | {value:.5g} | {card['conventions'].get(name, '')} |" for name, value in card["metrics"].items()),
        *(f"| {HEADLINE} of {name} | {value:.5g} | baseline |" for name, value in card["baselines"].items()),
        "",
    ]
    if card["seconds_a_sequence"]:
        speed = ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in card["seconds_a_sequence"].items())
        lines += [f"One sequence on the CPU that exported it: {speed}.", ""]
    return "\n".join([*lines, "```json", json.dumps(card, indent=1), "```", ""])
