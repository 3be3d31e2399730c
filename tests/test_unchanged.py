"""What preset tiny gave at seed 0 when it was recorded, it gives today: bit for bit on a CPU like the one that made the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command

RECORD = json.loads((Path(__file__).parent / "golden" / "tiny.json").read_text())
MADE_ON = RECORD["made_on"]


def same_arithmetic() -> bool:
    """Whether this CPU and this torch compute what made the record: kernels differ by instruction set and version."""
    version = torch.__version__.partition("+")[0] == MADE_ON["torch"].partition("+")[0]
    return version and torch.backends.cpu.get_cpu_capability() == MADE_ON["capability"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unchanged")


@pytest.mark.parametrize("arm", list(RECORD["arms"]))
def test_figures_are_those_of_the_record(arm: str, store: Path, harness: Command, quick: None) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(MADE_ON["threads"])
    try:
        found = harness("run", "--preset", "tiny", "--variant", arm, "--device", "cpu", "--store", store, "--json").document
    finally:
        torch.set_num_threads(threads)
    result = json.loads((Path(found["path"]) / "result.json").read_text())
    figures: dict[str, Any] = {name: result[name] for name in ("metrics", "metrics_per_frame", "baselines")}
    figures |= {name: result["training"][name] for name in ("best_step", "validation_ssim")}
    expected = RECORD["arms"][arm]
    if same_arithmetic():
        assert figures == expected
        return
    assert figures.keys() == expected.keys()
    for name, values in figures.items():
        nested = values.items() if isinstance(values, dict) else [(name, values)]
        for one, value in nested:
            wanted = expected[name][one] if isinstance(values, dict) else expected[name]
            assert value == pytest.approx(wanted, abs=1e-5, rel=1e-5), f"{arm}: {name}, {one}"
