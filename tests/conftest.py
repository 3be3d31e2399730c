"""What many tests share: a clean environment, a fast clock for measurements, and the command line called in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import Answer, Command


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the user's own decides what a test sees."""
    for name in ("HARNESS_STORE", "HARNESS_DIGITS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def harness(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The `harness` command in this process: words -> exit code and streams. Throughput is measured for an instant only."""
    from harness.cli.app import main

    def call(*words: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Answer(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures throughput from one call instead of for a second."""
    _measure_for_an_instant(monkeypatch)


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the finished runs `base` and `tta` of preset tiny, seed 0. Copy it before changing it (see `store`)."""
    from harness.runs.cell import run_cell
    from harness.runs.request import Request
    from harness.store import Store
    from harness.variant import Variants

    root = tmp_path_factory.mktemp("tiny") / "store"
    source = None
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("HARNESS_DIGITS", raising=False)
        _measure_for_an_instant(monkeypatch)
        for variant in ("base", "tta"):
            cell, source = Request(preset="tiny").cell(Variants(third_party=False), variant, 0, source)
            run_cell(cell, Store(root), source)
    return root


@pytest.fixture
def store(tiny_store: Path, tmp_path: Path) -> Path:
    """A copy of the tiny store that a test may spoil."""
    import shutil

    return Path(shutil.copytree(tiny_store, tmp_path / "store"))


def _measure_for_an_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.evaluation import cost as measure

    whole = measure.median_seconds
    monkeypatch.setattr(
        measure, "median_seconds", lambda once, seconds, **options: whole(once, 0.0, **(options | {"at_least": 1}))
    )


@pytest.fixture
def exported(harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The test sequences of preset tiny as `harness data export` writes them, in test.npy of the test's folder, the current one."""
    monkeypatch.chdir(tmp_path)
    about = harness("data", "export", "-p", "tiny", "--split", "test", "--out", "test.npy", "--json").document
    frames = np.load("test.npy")
    assert about == json.loads(Path("test.json").read_text())
    assert (list(frames.shape), frames.dtype) == (about["shape"], np.float32)
    assert (about["shown"], about["horizon"]) == (3, 3)
    return frames


@pytest.fixture
def fake_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Installs a distribution of one module: (name, module source, entry points by group) -> its folder, on sys.path."""
    import sys

    before = set(sys.modules)

    def install(name: str, source: str, points: dict[str, dict[str, str]], version: str = "1.0") -> Path:
        folder = tmp_path / f"site-{name}"
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(
            "".join(
                f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in found.items())
                for group, found in points.items()
            )
        )
        (folder / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))
        return folder

    yield install
    for module in set(sys.modules) - before:
        if getattr(sys.modules[module], "__file__", None) and str(tmp_path) in str(sys.modules[module].__file__):
            del sys.modules[module]
