"""A store and digits that commands are tried on."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import contents, idx


@pytest.fixture
def unharmed(store: Path) -> Iterator[Path]:
    """A store with two finished runs, all of whose files are still there, unchanged, after the test."""
    before = contents(store)
    yield store
    after = contents(store)
    assert {name: after.get(name) for name in before} == before


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images[:24]))
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[24:])))
    return folder
