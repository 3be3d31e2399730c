"""One pass over a file: a digest of the content alone, and figures by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data import scan as module
from harness.data.frames import open_frames


def frames(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_the_digest_names_shape_type_and_content_not_the_packing(tmp_path: Path) -> None:
    array = frames(6, 5, 8, 8)
    np.savez(tmp_path / "a.npz", array)
    np.savez_compressed(tmp_path / "b.npz", frames=array, other=np.arange(3))
    changed = array.copy()
    changed[5, 4, 7, 7] ^= 1
    same = {open_frames(path).digest for path in (saved(tmp_path / "c.npy", array), tmp_path / "a.npz", tmp_path / "b.npz")}
    others = {
        open_frames(saved(tmp_path / f"{i}.npy", other)).digest
        for i, other in enumerate([changed, array.reshape(5, 6, 8, 8), array / np.float32(255)])
    }
    assert len(same) == 1
    assert len(others - same) == 3


def test_the_digest_does_not_depend_on_how_much_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.npy", frames(7, 3, 4, 4))
    whole = open_frames(path).digest
    monkeypatch.setattr(module, "_PART_BYTES", 100)
    assert open_frames(path).digest == whole
