"""Files of weights: nothing but tensors is loaded, and the rest is one clear line."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import RequestError
from harness.system.weights import read_weights


class Malicious:
    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> Any:
        return Path.touch, (self.touched,)


@pytest.mark.parametrize("way", ["torch", "torch-inside", "pickle"])
def test_a_pickle_runs_nothing(way: str, tmp_path: Path) -> None:
    touched, path = tmp_path / "touched", tmp_path / "weights.pth"
    if way == "pickle":
        path.write_bytes(pickle.dumps(Malicious(touched)))
    else:
        torch.save({"weight": Malicious(touched)} if way == "torch-inside" else Malicious(touched), path)
    with pytest.raises(RequestError, match=r"weights\.pth") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert not touched.exists()


@pytest.mark.parametrize("saved", [[torch.zeros(1)], {"weight": 1.0}, torch.zeros(2)], ids=["list", "number", "tensor"])
def test_what_is_no_state_dict_is_refused(saved: object, tmp_path: Path) -> None:
    torch.save(saved, path := tmp_path / "weights.pt")
    with pytest.raises(RequestError, match="not a state dict of tensors by name"):
        read_weights(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
@pytest.mark.parametrize("content", [None, b"", b"hello", b"\x00" * 100], ids=["missing", "empty", "text", "zeros"])
def test_a_file_that_cannot_be_read_is_one_line(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RequestError, match=name) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
