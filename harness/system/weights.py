"""Weights of a file, of which nothing but tensors is ever loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a saved state dict. Nothing else of a pickle is read. Raises RequestError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise RequestError(f"cannot read the weights {path}: {reason}") from None
    except Exception as error:  # torch's own UnpicklingError for anything that is not plain weights
        raise RequestError(f"{path} holds more than plain weights, which is not loaded: {type(error).__name__}") from None
    for key in ("state_dict", "model"):  # how training programs wrap them
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise RequestError(f"{path} is not a state dict of tensors by name")
    return dict(found)
