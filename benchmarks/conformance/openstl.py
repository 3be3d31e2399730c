"""Compares the networks of the field with OpenSTL's, from a checkout of it, weight for weight.

    git clone https://github.com/chengtan9907/OpenSTL
    python benchmarks/conformance/openstl.py --checkout OpenSTL

Each of OpenSTL's networks is built at its Moving MNIST configuration (64x64, 10 -> 10 frames) and at a small one, given weights
by a formula, and copied into ours by names; both predict the same frames. The table gives the parameters of both, the values of
theirs that ours leaves out, and the largest difference of anything returned, as a share of the largest value. Exit code 1 when
that is above 1e-4, or when an entry of ours got no weight.

`--write-golden` also writes what OpenSTL's networks returned at the small configuration to tests/variants/golden, in float64: in
float32 PredRNN++'s rounding grows to 2e-4 with these weights, and would be another on every processor.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent))

from frame import Network, Size, use_checkout
from golden_weights import FOLDER, formula_weights, relative_difference

TOLERANCE = 1e-4
FILES = ("networks_a", "networks_b")
"""Where the networks are described: the recurrent ones, then the others."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, required=True, help="a checkout of OpenSTL")
    parser.add_argument("--write-golden", action="store_true", help="also write tests/variants/golden/*.npz")
    parser.add_argument("--only", nargs="*", help="names of networks (default: all)")
    parser.add_argument("--small-only", action="store_true", help="leave out the Moving MNIST configuration")
    arguments = parser.parse_args()
    use_checkout(arguments.checkout.resolve())
    found = {network.name: network for file in FILES for network in _networks(file)}
    if unknown := set(arguments.only or ()) - set(found):
        raise SystemExit(f"no network {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    failed = False
    print(f"{'network':16}{'size':14}{'theirs':>12}{'ours':>12}{'left out':>12}{'difference':>12}{'seconds':>9}")
    for network in (found[name] for name in arguments.only or found):
        for label, size in (("small", network.small), ("moving-mnist", network.moving_mnist)):
            if label == "small" or not arguments.small_only:
                failed |= not _compare(network, label, size)
        if arguments.write_golden:
            torch.set_default_dtype(torch.float64)
            failed |= not _compare(network, "float64", network.small, write=True)
            torch.set_default_dtype(torch.float32)
    return int(failed)


def _networks(file: str) -> tuple[Network, ...]:
    if not Path(__file__).with_name(f"{file}.py").exists():
        return ()
    networks: tuple[Network, ...] = importlib.import_module(file).NETWORKS
    return networks


def _compare(network: Network, label: str, size: Size, write: bool = False) -> bool:
    started = time.perf_counter()
    theirs, ours = network.theirs(size), network.ours(size)
    state, target = theirs.state_dict(), ours.state_dict()
    weights = formula_weights(state, lambda name: state[name].shape, network.gain)
    theirs.load_state_dict({**state, **weights})
    given: dict[str, Tensor] = {}
    left_out = 0
    for name, value in weights.items():
        if (ours_name := network.translate(name)) is None:
            left_out += value.numel()
        else:
            given[ours_name] = value
    counters = {name: value for name, value in target.items() if name.endswith("num_batches_tracked")}
    ours.load_state_dict({**given, **counters})  # strict: raises when an entry has no weight, or one has nowhere to go
    frames = sample_frames(size).to(torch.get_default_dtype())
    expected, got = network.predict_theirs(theirs, size, frames), network.predict_ours(ours, size, frames)
    if expected.keys() != got.keys():
        raise SystemExit(f"{network.name}: theirs returned {', '.join(expected)}, ours {', '.join(got)}")
    differences = [relative_difference(got[key], expected[key]) for key in expected]
    worst = float(np.max(differences))  # not a number if one is, unlike the built-in max
    good = worst <= TOLERANCE
    counts = f"{_count(theirs):>12,}{_count(ours):>12,}{left_out:>12,}"
    seconds = time.perf_counter() - started
    print(f"{network.name:16}{label:14}{counts}{worst:>12.1e}{seconds:>9.1f}{'' if good else '  DIFFERS'}", flush=True)
    if write and good:
        arrays = {key: value.detach().numpy() for key, value in expected.items()}
        FOLDER.mkdir(exist_ok=True)
        file = FOLDER / f"{network.name.replace('-', '_')}.npz"
        np.savez_compressed(file, names=np.array(list(state)), frames=frames.numpy(), **arrays)
    return good


def sample_frames(size: Size) -> Tensor:
    """(B, input_frames + horizon, C, H, W) in [0, 1]: smooth blobs that move, another in every sequence and channel."""
    steps = size.input_frames + size.horizon
    b, t, c, y, x = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64) for n in (size.batch, steps, size.channels, size.height, size.width)),
        indexing="ij",
    )
    centre_y = size.height * (0.5 + 0.3 * torch.sin(0.5 * t + b + 2 * c))
    centre_x = size.width * (0.5 + 0.3 * torch.cos(0.3 * t + 2 * b + c))
    distance = (y - centre_y) ** 2 + (x - centre_x) ** 2
    return torch.exp(-distance / (2 * (size.height / 6) ** 2)).float()


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


if __name__ == "__main__":
    torch.manual_seed(0)
    raise SystemExit(main())
