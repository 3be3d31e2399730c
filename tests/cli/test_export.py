"""`harness export`: the file that is written by default, what is said of it, and formats that there are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command
from safetensors.torch import load_file

from harness.store import Store


def test_by_default_the_file_lies_here_under_the_runs_id(
    harness: Command, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = next(run for run in Store(tiny_store).runs() if run.read("result.json")["variant"] == "base")
    answer = harness("export", run.run_id, "--store", tiny_store, "--to", "safetensors")
    assert answer.code == 0, answer.err
    first, card = answer.out.splitlines()
    assert first.startswith(f"{run.run_id}.safetensors: ('batch', 3, 1, 16, 16) -> ('batch', 3, 1, 16, 16), within 0")
    assert card == f"model card: {run.run_id}.safetensors.md"
    weights = load_file(tmp_path / f"{run.run_id}.safetensors")
    assert sum(one.numel() for one in weights.values()) == run.read("result.json")["params"]
    document = harness("export", run.run_id[:8], "--store", tiny_store, "--to", "safetensors", "--json").document
    assert document["run"] == run.run_id
    assert document["metrics"] == run.read("result.json")["metrics"]


def test_what_cannot_be_exported_is_named(harness: Command, tiny_store: Path) -> None:
    found = harness("export", "x", "--store", tiny_store, "--to", "onx")
    assert (found.code, found.error) == (
        2,
        "error: unknown format 'onx'; did you mean 'onnx'? choices: onnx, safetensors, torch-export",
    )
    assert harness("export", "zzz", "--store", tiny_store).code == 2
