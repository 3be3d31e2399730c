"""From options to executors and resources."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from cluster import resources
from commands import Command

from harness.errors import RequestError


@pytest.mark.parametrize(
    ("executor", "words", "complaint"),
    [
        ("rya", {}, "unknown executor 'rya'; did you mean 'ray'"),
        ("processes", {"workers": 0}, "--workers 0"),
        ("processes", {"gpus": 0.5}, "--gpus-per-cell is for --executor ray or slurm"),
        ("processes", {"ray_address": "auto"}, "--ray-address is for --executor ray"),
        ("ray", {"slurm": "time=3"}, "--slurm is for --executor slurm"),
        ("ray", {"gpus": 2}, "a cell trains on one GPU"),
        ("ray", {"gpus": 0, "device": "cuda"}, "exclude each other"),
        ("ray", {"gpus": 1, "device": "cpu"}, "exclude each other"),
        ("ray", {"device": "cuda:1"}, "use --device cuda"),
        ("ray", {"cpus": 0}, "--cpus-per-cell 0"),
        ("ray", {"cpus": 1.5}, "--cpus-per-cell 1.5"),
        ("ray", {"ray_address": "ray://head:10001"}, "(ray://) are not supported"),
        ("ray", {"ray_address": "head"}, "write HOST:PORT"),
        ("slurm", {"gpus": 0.5}, "SLURM allocates whole CPUs and GPUs"),
        ("slurm", {"slurm": "partition"}, "write name=value"),
        ("slurm", {"slurm": "time=1,time=2"}, "each name once"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(executor: str, words: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RequestError) as found:
        resources(executor, **words)
    assert complaint in str(found.value)


def test_a_cell_on_a_clusters_gpu_needs_none_here() -> None:
    for words in ({"device": "cuda"}, {"gpus": 1}, {"gpus": 0.25}):
        where = resources("ray", **words)
        assert (where.device, where.gpus) == ("cuda", words.get("gpus", 1))
    assert resources("ray", device="cpu").gpus == 0
    assert (
        resources("ray", cpus=0.5).threads,
        resources("slurm", cpus=4).threads,
        resources().threads,
    ) == (1, 4, 0)


def test_precision_must_be_said_where_no_gpu_can_be_asked(harness: Command, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("the precision is this machine's GPU's")
    words = ["ablate", "--plan", "base", "--preset", "tiny", "--executor", "ray", "--gpus-per-cell", 1, "--store", tmp_path]
    words += ["--set", "training.precision=auto"]
    assert "--set training.precision=bfloat16" in harness(*words).error


@pytest.mark.parametrize(("executor", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_what_is_not_installed_is_named(
    executor: str, module: str, harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    found = harness("ablate", "--preset", "tiny", "--plan", "base", "--executor", executor, "--store", tmp_path)
    assert found.code == 2
    assert f"pip install 'ablation-harness[{executor}]'" in found.error
