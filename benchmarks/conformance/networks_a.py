"""The recurrent networks: ConvLSTM-S, PredRNN, PredRNN.V2, PredRNN++."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from frame import Network, Size
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shown:
    """A `harness.model.cells.Feed`."""

    frames: Tensor
    use_truth: Tensor


def pattern(size: Size, reverse: bool) -> Tensor:
    """Which steps read the truth: in every sequence others. Without reverse sampling the frames shown are always read."""
    steps = size.input_frames + size.horizon - 1
    step, sequence = torch.arange(steps), torch.arange(size.batch)[:, None]
    return ((step + sequence) % 3 != 1) | (step == 0) | ((step < size.input_frames) & (not reverse))


def theirs(kind: str, size: Size, reverse: bool) -> nn.Module:
    settings = size.settings
    configs = SimpleNamespace(
        in_shape=(size.input_frames, size.channels, size.height, size.width),
        patch_size=settings["patch"],
        filter_size=settings["kernel"],
        stride=1,
        layer_norm=0,
        pre_seq_length=size.input_frames,
        aft_seq_length=size.horizon,
        total_length=size.input_frames + size.horizon,
        reverse_scheduled_sampling=int(reverse),
        decouple_beta=0.1,
    )
    models = importlib.import_module("openstl.models")
    model: nn.Module = getattr(models, kind)(settings["layers"], [settings["hidden"]] * settings["layers"], configs)
    return model


def predict_theirs(model: nn.Module, size: Size, frames: Tensor) -> dict[str, Tensor]:
    """As its method's `forward` runs it, and as its `training_step` does: there with its loss."""
    configs: Any = model.configs
    patch = configs.patch_size
    patches = importlib.import_module("openstl.utils.predrnn_utils")
    folded = patches.reshape_patch(frames.permute(0, 1, 3, 4, 2).contiguous(), patch)
    # Reverse sampling decides about every step but the first, the plain one about those after the frames shown.
    first = 1 if configs.reverse_scheduled_sampling else size.input_frames

    def run(use_truth: Tensor, return_loss: bool) -> tuple[Tensor, Tensor]:
        mask = use_truth[:, first:, None, None, None].float().expand(-1, -1, *folded.shape[2:])
        every, loss = model(folded, mask, return_loss=return_loss)
        predicted = patches.reshape_patch_back(every, patch)[:, -size.horizon :]
        return predicted.permute(0, 1, 4, 2, 3).contiguous(), loss

    with torch.no_grad():
        plain = torch.arange(size.input_frames + size.horizon - 1) < size.input_frames
        predictions, _ = run(plain.expand(size.batch, -1), False)
        use_truth = pattern(size, bool(configs.reverse_scheduled_sampling))
        fed, loss = run(use_truth, True)
    return {"predictions": predictions, "fed": fed, "loss": loss}


def predict_ours(model: nn.Module, size: Size, frames: Tensor, reverse: bool) -> dict[str, Tensor]:
    shown, steps = frames[:, : size.input_frames], size.input_frames + size.horizon - 1
    with torch.no_grad():
        predictions = model.eval()(shown, size.horizon)
        fed = model.train()(shown, size.horizon, Shown(frames, pattern(size, reverse)))
        # Its error of the horizon and its auxiliary loss are OpenSTL's loss, but for the number of steps they are divided by.
        loss = (F.mse_loss(fed, frames[:, size.input_frames :]) + model.auxiliary_loss) * size.horizon / steps
    return {"predictions": predictions, "fed": fed, "loss": loss}


def _network(name: str, folder: str, kind: str, their_kind: str, *, reverse: bool = False, **extra: float) -> Network:
    module = importlib.import_module(f"variants.{folder}.module")
    make: Callable[..., nn.Module] = getattr(module, kind)
    return Network(
        name=name,
        theirs=lambda size: theirs(their_kind, size, reverse),
        ours=lambda size: make(size.channels, **size.settings, **extra, warm_up_weight=1.0),
        translate=module.translate,
        predict_theirs=predict_theirs,
        predict_ours=lambda model, size, frames: predict_ours(model, size, frames, reverse),
        moving_mnist=Size(
            batch=1,
            channels=1,
            height=64,
            width=64,
            input_frames=10,
            horizon=10,
            settings={"layers": 4, "hidden": 128, "kernel": 5, "patch": 4},
        ),
        small=Size(
            batch=2,
            channels=2,
            height=8,
            width=12,
            input_frames=3,
            horizon=4,
            settings={"layers": 3, "hidden": 6, "kernel": 3, "patch": 2},
        ),
        gain=3.0,
    )


NETWORKS = (
    _network("convlstm-stack", "convlstm_stack", "ConvLSTMStack", "ConvLSTM_Model"),
    _network("predrnn", "predrnn", "PredRNN", "PredRNN_Model"),
    _network("predrnn-v2", "predrnn_v2", "PredRNNV2", "PredRNNv2_Model", reverse=True, decoupling=0.1),
    _network("predrnn-pp", "predrnn_pp", "PredRNNPP", "PredRNNpp_Model"),
)
