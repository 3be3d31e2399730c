"""How alike two frames look to a network that was trained on photographs. Its weights are a local file; nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness.component import setting
from harness.errors import RequestError
from harness.evaluation.metrics.metric import FrameMean

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 31
"""Height and width below which AlexNet's second pooling does not fit, pixels."""
# AlexNet's convolutions: name of the weight, stride, padding, whether a pooling (3x3, stride 2) comes before it.
_LAYERS = (
    ("net.slice1.0", 4, 2, False),
    ("net.slice2.3", 1, 2, True),
    ("net.slice3.6", 1, 1, True),
    ("net.slice4.8", 1, 1, False),
    ("net.slice5.10", 1, 1, False),
)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_NAMES = (
    *(f"{layer}.{part}" for layer, *_ in _LAYERS for part in ("weight", "bias")),
    *(f"lin{place}.model.1.weight" for place in range(len(_LAYERS))),
)


@dataclass(frozen=True, kw_only=True)
class LPIPS(FrameMean):
    """Learned perceptual image patch similarity: distance between AlexNet's features of two frames, weighted by channel.

    Zhang et al., CVPR 2018, version 0.1 of its weights: the state dict of that publication's `lpips.LPIPS(net="alex")`, which
    docs/library.md says how to save. Frames of one channel are repeated to three.
    """

    name: ClassVar[str] = "lpips"
    title: ClassVar[str] = "LPIPS"
    higher_is_better: ClassVar[bool] = False
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = None
    convention = "LPIPS 0.1, AlexNet, intensities scaled to [-1, 1], frames at their own size (lpips 0.1.4)"

    weights: Path | None = setting(None, "the state dict of lpips.LPIPS(net='alex'), a .pt, .pth or .safetensors file")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is None:
            raise RequestError(
                "metrics.lpips has no weights, and nothing is downloaded; name a local file, metrics=lpips(weights=FILE): the "
                "state dict of lpips.LPIPS(net='alex'), see docs/library.md"
            )

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """The distance of each frame, (N,). Raises RequestError for frames that are too small, or weights that do not fit."""
        import torch

        channels, height, width = prediction_NCHW.shape[1:]
        if channels not in (1, 3) or min(height, width) < SMALLEST:
            raise RequestError(
                f"metrics.lpips measures frames of 1 or 3 channels and at least {SMALLEST}x{SMALLEST} pixels; these have "
                f"{channels}, and {height}x{width}"
            )
        assert self.weights is not None
        device = prediction_NCHW.device
        stored = self.weights.stat() if self.weights.is_file() else None
        weights = _weights(self.weights, str(device), stored and (stored.st_mtime_ns, stored.st_size))
        distance = torch.zeros(len(prediction_NCHW), device=device)
        both = zip(_features(prediction_NCHW, weights), _features(target_NCHW, weights), strict=True)
        for place, (ours, true) in enumerate(both):
            of_channels = weights[f"lin{place}.model.1.weight"].view(1, -1, 1, 1)
            distance = distance + ((ours - true).square() * of_channels).sum(1).mean((1, 2))
        return distance


def _features(frames_NCHW: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    """What AlexNet makes of frames after each of its convolutions, each position's vector of length 1."""
    from torch.nn import functional as F

    shift, scale = (frames_NCHW.new_tensor(one).view(1, 3, 1, 1) for one in (_SHIFT, _SCALE))
    features, found = (2 * frames_NCHW.expand(-1, 3, -1, -1) - 1 - shift) / scale, []
    for layer, stride, padding, pooled in _LAYERS:
        if pooled:
            features = F.max_pool2d(features, 3, 2)
        convolved = F.conv2d(features, weights[f"{layer}.weight"], weights[f"{layer}.bias"], stride, padding)
        features = convolved.relu()
        found.append(features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10))
    return found


@lru_cache(maxsize=2)
def _weights(path: Path, device: str, stored: tuple[int, int] | None) -> dict[str, Tensor]:
    """The weights that are needed, on the device; read once for as long as the file stays the same (`stored`)."""
    from harness.system.weights import read_weights

    found = read_weights(path)
    if missing := [name for name in _NAMES if name not in found]:
        raise RequestError(
            f"{path} lacks {len(missing)} of the weights of lpips.LPIPS(net='alex'), such as {missing[0]}; see docs/library.md"
        )
    return {name: found[name].float().to(device) for name in _NAMES}
