"""LPIPS with weights made here, against a reading of its definition in numpy; nothing is ever downloaded."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Command
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.torch import save_file

from harness.errors import RequestError
from harness.evaluation.metrics.lpips import LPIPS
from harness.testing import MetricContract

Array = NDArray[np.float64]

SIZES = {"slice1.0": (64, 3, 11), "slice2.3": (192, 64, 5), "slice3.6": (384, 192, 3), "slice4.8": (256, 384, 3)}
SIZES |= {"slice5.10": (256, 256, 3)}
STEPS = {"slice1.0": (4, 2), "slice2.3": (1, 2), "slice3.6": (1, 1), "slice4.8": (1, 1), "slice5.10": (1, 1)}


def made(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the names that lpips 0.1.4 gives them, with those that are not needed."""
    drawn = torch.Generator().manual_seed(seed)
    found = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    for place, (name, (out, into, kernel)) in enumerate(SIZES.items()):
        bound = (2 / (into * kernel**2)) ** 0.5
        found[f"net.{name}.weight"] = bound * torch.randn(out, into, kernel, kernel, generator=drawn)
        found[f"net.{name}.bias"] = 0.1 * torch.randn(out, generator=drawn)
        found[f"lin{place}.model.1.weight"] = torch.rand(1, out, 1, 1, generator=drawn)
    return found


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    save_file(made(), path := tmp_path_factory.mktemp("lpips") / "alex.safetensors")
    return path


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *given: pytest.fail("connects to the network"))


def convolved(frame_CHW: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    padded = np.pad(frame_CHW, ((0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("chwyx,ocyx->ohw", windows, weight) + bias[:, None, None]


def expected(prediction_HW: Array, target_HW: Array, weights: dict[str, torch.Tensor]) -> float:
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    maps = [
        (np.stack([2 * one - 1] * 3) - shift[:, None, None]) / scale[:, None, None] for one in (prediction_HW, target_HW)
    ]
    total = 0.0
    for place, (name, (stride, padding)) in enumerate(STEPS.items()):
        if place in (1, 2):
            maps = [sliding_window_view(one, (3, 3), axis=(1, 2))[:, ::2, ::2].max((-1, -2)) for one in maps]
        weight, bias = (weights[f"net.{name}.{part}"].numpy().astype(float) for part in ("weight", "bias"))
        maps = [np.maximum(convolved(one, weight, bias, stride, padding), 0) for one in maps]
        ours, true = (one / np.linalg.norm(one, axis=0).clip(1e-10) for one in maps)
        total += float((weights[f"lin{place}.model.1.weight"].numpy().reshape(-1, 1, 1) * (ours - true) ** 2).sum(0).mean())
    return total


class TestContract(MetricContract):
    side = 32

    @pytest.fixture(autouse=True)
    def with_weights(self, weights: Path) -> None:
        type(self).component = LPIPS(weights=weights)


def test_the_distance_is_that_of_its_definition(weights: Path, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    prediction, target = drawn.random((2, 3, 32, 40))
    found = LPIPS(weights=weights).values(*(torch.from_numpy(one).float()[:, None] for one in (prediction, target)))
    wanted = [expected(one, other, made()) for one, other in zip(prediction, target, strict=True)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)
    torch.save(made(), path := tmp_path / "alex.pth")
    color = torch.from_numpy(prediction).float()[:, None].repeat(1, 3, 1, 1)
    again = LPIPS(weights=path).values(color, torch.from_numpy(target).float()[:, None])
    torch.testing.assert_close(again, found)


def test_what_it_cannot_measure_or_load_is_said(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no weights, and nothing is downloaded; .*lpips\(weights=FILE\)"):
        LPIPS()
    for shape in ((1, 1, 30, 40), (1, 2, 32, 32)):
        with pytest.raises(RequestError, match="1 or 3 channels and at least 31x31"):
            LPIPS(weights=weights).values(torch.rand(shape), torch.rand(shape))
    save_file({"net.slice1.0.weight": torch.zeros(1)}, other := tmp_path / "other.safetensors")
    frames = torch.rand(1, 1, 32, 32)
    with pytest.raises(RequestError, match=r"lacks 14 of the weights.*net\.slice1\.0\.bias"):
        LPIPS(weights=other).values(frames, frames)


def test_a_run_has_it_and_other_weights_test_again_without_training(
    harness: Command, weights: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", "-p", "tiny", "--set", "data.canvas=32", "--store", tmp_path / "store", "--json")
    missing = harness(*words, "--set", "metrics=lpips")
    assert (missing.code, "nothing is downloaded" in missing.error) == (2, True)
    gone = harness(*words, "--set", f"metrics=lpips(weights={tmp_path / 'gone.pth'})")
    assert (gone.code, "gone.pth" in gone.error) == (2, True)
    assert not (tmp_path / "store").exists()

    plain = harness(*words).document
    monkeypatch.setattr("harness.training.loop.fit", lambda *given, **options: pytest.fail("trained"))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights.read_bytes())
    asked = (*words, "--set", f"metrics=lpips(weights={path})")
    first = harness(*asked).document
    assert first["run_id"] == plain["run_id"]
    assert 0 < first["metrics"]["lpips"] != first["baselines"]["blank"]["lpips"] > 0
    assert harness(*asked).document["cached"]
    save_file(made(seed=1), path)  # another content at the same path
    again = harness(*asked).document
    assert (again["cached"], again["run_id"]) == (False, plain["run_id"])
    assert again["metrics"]["lpips"] != first["metrics"]["lpips"]
    moved = path.rename(tmp_path / "elsewhere.safetensors")
    assert harness(*words, "--set", f"metrics=lpips(weights={moved})").document["cached"]
