"""OpenSTL's ConvLSTM-S against ours at the same sizes: sequences a second in training and in prediction, in one run.

    git clone https://github.com/chengtan9907/OpenSTL
    python benchmarks/conformance/speed.py --checkout OpenSTL

Three contenders take turns on the same frames: OpenSTL's network, run as its method runs it (patches folded, whole sequence in
the loss, Adam); `convlstm-stack`, which is the same network with the same loss here; and `base`, the encoder-forecaster of this
project at preset `cpu` or `paper`, which is another network for the same task. One thread, and its processor time counts; the
first turn is not counted. Ratios are medians over turns of OpenSTL's time divided by the contender's: above 1 is faster.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))

from frame import Size, use_checkout

Loss = Callable[[], Tensor]
SIZES = {"cpu": (32, {"layers": 2, "hidden": 32, "kernel": 3, "patch": 4}), "paper": (64, None)}
"""Side of a frame, and the stack's settings; None: OpenSTL's Moving MNIST configuration."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, required=True, help="a checkout of OpenSTL")
    parser.add_argument("--size", choices=SIZES, default="cpu", help="frames and networks of that preset (default cpu)")
    parser.add_argument("--batch", type=int, default=8, help="sequences a step (default 8)")
    parser.add_argument("--rounds", type=int, default=5, help="counted turns of each contender (default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    arguments = parser.parse_args()
    use_checkout(arguments.checkout.resolve())
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = measure(arguments.size, arguments.batch, arguments.rounds)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'network':16}{'parameters':>12}{'train seq/s':>13}{'ratio':>8}{'predict seq/s':>15}{'ratio':>8}")
    for row in found["rows"]:
        figures = "".join(f"{row[f'{what}_per_second']:>{width}.2f}{row[f'{what}_ratio']:>8.2f}" for what, width in _WIDTHS)
        print(f"{row['network']:16}{row['parameters']:>12,}{figures}")


_WIDTHS = (("train", 13), ("predict", 15))


def measure(size_name: str, batch: int, rounds: int) -> dict[str, Any]:
    """The rows of the table; plain values."""
    contenders = _contenders(size_name, batch)
    seconds: dict[tuple[str, str], list[float]] = {}
    optimizers = {name: torch.optim.Adam(model.parameters(), lr=1e-4) for name, (model, *_) in contenders.items()}
    for turn in range(rounds + 1):
        for name, (model, loss, predict) in contenders.items():
            for what in ("train", "predict"):
                started = time.process_time()
                _step(loss, optimizers[name]) if what == "train" else _predict(model, predict)
                if turn:
                    seconds.setdefault((name, what), []).append(time.process_time() - started)
    first = next(iter(contenders))
    rows = []
    for name, (model, *_) in contenders.items():
        row: dict[str, object] = {"network": name, "parameters": sum(one.numel() for one in model.parameters())}
        for what in ("train", "predict"):
            own, theirs = seconds[name, what], seconds[first, what]
            row[f"{what}_per_second"] = batch / statistics.median(own)
            row[f"{what}_ratio"] = statistics.median(a / b for a, b in zip(theirs, own, strict=True))
        rows.append(row)
    return {"size": size_name, "batch": batch, "rounds": rounds, "torch": torch.__version__, "rows": rows}


def _contenders(size_name: str, batch: int) -> dict[str, tuple[nn.Module, Loss, Callable[[], Tensor]]]:
    from networks_a import NETWORKS, theirs

    from harness.component import Shape
    from harness.model.build import build_model
    from harness.presets import preset

    side, settings = SIZES[size_name]
    network = NETWORKS[0]
    size: Size = replace(network.moving_mnist, batch=batch, height=side, width=side)
    size = size if settings is None else replace(size, settings=settings)
    frames = torch.rand(batch, size.input_frames + size.horizon, 1, side, side)
    shown, target = frames[:, : size.input_frames], frames[:, size.input_frames :]
    patch = size.settings["patch"]
    patches = importlib.import_module("openstl.utils.predrnn_utils")
    their, stack = theirs("ConvLSTM_Model", size, False), network.ours(size)
    base = build_model(
        preset(size_name).architecture, Shape(channels=1, height=side, width=side, input_frames=10, horizon=10), 0
    )

    def run_theirs(return_loss: bool) -> tuple[Tensor, Tensor]:
        folded = patches.reshape_patch(frames.permute(0, 1, 3, 4, 2).contiguous(), patch)
        mask = torch.zeros(batch, size.horizon - 1, *folded.shape[2:])
        every, loss = their(folded, mask, return_loss=return_loss)
        return patches.reshape_patch_back(every, patch)[:, -size.horizon :], loss

    def loss_of_stack() -> Tensor:
        return F.mse_loss(stack(shown, size.horizon), target) + stack.auxiliary_loss

    return {
        "OpenSTL": (their, lambda: run_theirs(True)[1], lambda: run_theirs(False)[0]),
        "convlstm-stack": (stack, loss_of_stack, lambda: stack(shown, size.horizon)),
        "base": (base, lambda: F.mse_loss(base(shown, size.horizon), target), lambda: base(shown, size.horizon)),
    }


def _step(loss: Loss, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()


def _predict(model: nn.Module, predict: Callable[[], Tensor]) -> None:
    model.eval()
    with torch.no_grad():
        predict()
    model.train()


if __name__ == "__main__":
    main()
