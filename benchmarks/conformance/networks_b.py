"""The networks without recurrence, SimVP and TAU, and PhyDNet."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from frame import Network, Size
from torch import Tensor, nn
from torch.nn import functional as F

import variants.phydnet.module as phydnet
import variants.simvp.module as simvp
import variants.tau.module as tau
from harness.training.terms import TemporalDifference

THEIR_NAMES = {"hidden": "hid_S", "translator_width": "hid_T", "stages": "N_S", "blocks": "N_T"}
"""Our names of SimVP's sizes, and OpenSTL's."""


def _simvp_theirs(kind: str) -> Callable[[Size], nn.Module]:
    def make(size: Size) -> nn.Module:
        sizes = {THEIR_NAMES[name]: value for name, value in size.settings.items()}
        models = importlib.import_module("openstl.models")
        shape = (size.input_frames, size.channels, size.height, size.width)
        # Without stochastic depth, which is off in evaluation mode anyway.
        made: nn.Module = models.SimVP_Model(shape, model_type=kind, drop_path=0.0, **sizes)
        return made

    return make


def _simvp_ours(build: Callable[..., nn.Module], **extra: Any) -> Callable[[Size], nn.Module]:
    return lambda size: build(size.channels, size.height, size.width, size.input_frames, **size.settings, **extra)


def _simvp_predict_theirs(model: nn.Module, size: Size, frames: Tensor) -> dict[str, Tensor]:
    """As its method does: predictions go in again where the horizon is longer, and what is too much is cut."""
    parts = [frames[:, : size.input_frames].contiguous()]
    with torch.no_grad():
        while size.input_frames * (len(parts) - 1) < size.horizon:
            parts.append(model.eval()(parts[-1]))
    return {"predictions": torch.cat(parts[1:], dim=1)[:, : size.horizon]}


def _predict_ours(model: nn.Module, size: Size, frames: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return {"predictions": model.eval()(frames[:, : size.input_frames], size.horizon)}


def _tau_predict_theirs(model: nn.Module, size: Size, frames: Tensor) -> dict[str, Tensor]:
    """Its loss term is a method of a class that needs lightning; the function alone does not."""
    found = _simvp_predict_theirs(model, size, frames)
    file = Path(sys.modules["openstl"].__path__[0]) / "methods" / "tau.py"
    nodes = ast.walk(ast.parse(file.read_text()))
    [term] = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "diff_div_reg"]
    names: dict[str, Any] = {"torch": torch, "F": F}
    exec(compile(ast.Module([term], []), str(file), "exec"), names)
    return found | {"divergence": 0.1 * names["diff_div_reg"](None, found["predictions"], frames[:, size.input_frames :])}


def _tau_predict_ours(model: nn.Module, size: Size, frames: Tensor) -> dict[str, Tensor]:
    found = _predict_ours(model, size, frames)
    divergence = 0.1 * TemporalDifference().compute(found["predictions"], frames[:, size.input_frames :])
    return found | {"divergence": divergence}


@dataclass(frozen=True)
class Shown:
    """What a recurrent network is fed in training."""

    frames: Tensor
    use_truth: Tensor


def _phydnet_theirs(size: Size) -> nn.Module:
    settings = SimpleNamespace(
        pre_seq_length=size.input_frames,
        aft_seq_length=size.horizon,
        in_shape=(size.input_frames, size.channels, size.height, size.width),
        patch_size=size.settings["patch"],
        device="cpu",
    )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its layers
        made: nn.Module = importlib.import_module("openstl.models").PhyDNet_Model(settings)
    return made


def _phydnet_predict_theirs(model: Any, size: Size, frames: Tensor) -> dict[str, Tensor]:
    """As its method's `forward`, and its training loss with and without teacher forcing.

    In float64, as ours: at 64x64 with weights like these the network is chaotic once it reads its own predictions, and a
    change of 1e-7 of the frames grows to the size of the predictions within ten steps.
    """
    model.double().k2m = type(model.k2m)([7, 7])  # its matrices are buffers, no weights, but the formula has reached them
    constraints = torch.eye(49).view(49, 7, 7)
    shown, target = (part.double() for part in frames.split((size.input_frames, size.horizon), dim=1))
    with torch.no_grad(), _double():
        predictions = model.inference(shown, target, constraints, return_loss=False)[0]
        free, forced = (model(shown, target, constraints, ratio) for ratio in (0.0, 1.0))
    return {"predictions": predictions.float(), "loss": free.float(), "loss_forced": forced.float()}


@contextlib.contextmanager
def _double() -> Iterator[None]:
    """Within it new tensors are float64."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def _phydnet_predict_ours(model: Any, size: Size, frames: Tensor) -> dict[str, Tensor]:
    model, frames = model.double(), frames.double()
    found, target = _predict_ours(model, size, frames), frames[:, size.input_frames :]
    truth = Shown(frames, torch.ones(size.batch, size.input_frames + size.horizon - 1, dtype=torch.bool))
    model.train()
    for name, feed in (("loss", None), ("loss_forced", truth)):
        with torch.no_grad():
            predicted = model(frames[:, : size.input_frames], size.horizon, feed)
            # Theirs is a sum over the frames, ours a mean over those of the horizon.
            found[name] = (F.mse_loss(predicted, target) + model.auxiliary_loss) * size.horizon
    return {name: value.float() for name, value in found.items()}


def _moving_mnist(**settings: Any) -> Size:
    return Size(batch=1, channels=1, height=64, width=64, input_frames=10, horizon=10, settings=settings)


def _small(**settings: Any) -> Size:
    return Size(batch=2, channels=2, height=16, width=12, input_frames=3, horizon=4, settings=settings)


def _simvp_network(name: str, kind: str, build: Callable[..., nn.Module], translate: Any, **extra: Any) -> Network:
    return Network(
        name=name,
        theirs=_simvp_theirs(kind),
        ours=_simvp_ours(build, **extra),
        translate=translate,
        predict_theirs=_tau_predict_theirs if kind == "tau" else _simvp_predict_theirs,
        predict_ours=_tau_predict_ours if kind == "tau" else _predict_ours,
        moving_mnist=_moving_mnist(hidden=64, translator_width=512, stages=4, blocks=8),
        small=_small(hidden=8, translator_width=16, stages=4, blocks=3),
    )


NETWORKS = (
    _simvp_network("simvp", "gsta", simvp.build_simvp, simvp.translate),
    _simvp_network("simvp-incepu", "incepu", simvp.build_simvp, simvp.translate, translator="incepu"),
    _simvp_network("tau", "tau", tau.build_tau, tau.translate),
    Network(
        name="phydnet",
        theirs=_phydnet_theirs,
        ours=lambda size: phydnet.build_phydnet(size.channels, size.height, size.width, **size.settings),
        translate=phydnet.translate,
        predict_theirs=_phydnet_predict_theirs,
        predict_ours=_phydnet_predict_ours,
        moving_mnist=_moving_mnist(patch=4),
        small=_small(patch=4),  # OpenSTL's other sizes are fixed
        gain=0.3,
    ),
)
