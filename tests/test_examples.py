"""Every example runs as it stands, at preset tiny."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
LONGEST_NETWORK = 40
"""Lines of the example of a network of one's own."""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> Path:
    """A folder to work in, with a store of its own, and no window for plots."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    return tmp_path


def run(name: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_a_loss_term_of_ones_own(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("own_loss.py", monkeypatch)
    out = capsys.readouterr().out
    assert "charbonnier" in out
    assert "verdict" in out


def test_a_network_of_ones_own(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run("own_network.py", monkeypatch)
    out = capsys.readouterr().out
    assert "PlainConvolution(hidden=8) Network(" in out
    assert len((EXAMPLES / "own_network.py").read_text().splitlines()) <= LONGEST_NETWORK


def test_networks_at_equal_seconds(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("networks_at_equal_seconds.py", monkeypatch, "--seeds", "2", "--networks", "convgru")
    out = capsys.readouterr().out
    assert "convgru" in out
    assert "undecided" in out


def test_somebodys_predictions(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run("somebodys_predictions.py", monkeypatch)
    table, verdict = capsys.readouterr().out.strip().split("\n\n")
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["base", "least-squares"]
    assert verdict.splitlines()[1].split()[0] == "least-squares"
    assert verdict.splitlines()[1].endswith("helps")  # six steps of training are not enough to beat it


def test_the_notebook(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import harness

    session = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", session)
    cells = json.loads((EXAMPLES / "first_ablation.ipynb").read_text())["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), cell["id"], "exec"), vars(session))
    assert vars(session)["again"].experiment.get("loss.worst-frame.weight") == 0.1
    assert len(harness.open_store()) == 1 + 3 * 3 - 1 + 1  # one of the ablation's runs is there already
