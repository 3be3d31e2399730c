"""What preset tiny gave at seed 0 when it was recorded, it gives today: bit for bit on a CPU like the one that made the record.

After a deliberate change of rounding, which the changelog names, this writes a new record:

    PYTHONPATH=tests/support python tests/test_unchanged.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command

from harness.system.environment import describe_device

GOLDEN = Path(__file__).parent / "golden" / "tiny.json"
RECORD = json.loads(GOLDEN.read_text())
MADE_ON = RECORD["made_on"]


def same_arithmetic() -> bool:
    """Whether this CPU and this torch compute what made the record: kernels differ by vendor, instruction set and version."""
    return made_here() == MADE_ON


def made_here() -> dict[str, Any]:
    processor = describe_device("cpu").rpartition(" (")[0]
    version = torch.__version__.partition("+")[0]
    return {"cpu": processor, "capability": torch.backends.cpu.get_cpu_capability(), "torch": version}


def figures_of(run: Path) -> dict[str, Any]:
    result = json.loads((run / "result.json").read_text())
    figures: dict[str, Any] = {name: result[name] for name in ("metrics", "metrics_per_frame", "baselines")}
    return figures | {name: result["training"][name] for name in ("best_step", "validation_ssim")}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unchanged")


@pytest.mark.parametrize("arm", list(RECORD["arms"]))
def test_figures_are_those_of_the_record(arm: str, store: Path, harness: Command, quick: None) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = harness("run", "--preset", "tiny", "--variant", arm, "--device", "cpu", "--store", store, "--json").document
    finally:
        torch.set_num_threads(threads)
    figures = figures_of(Path(found["path"]))
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


def record() -> None:
    import tempfile

    import harness

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        runs = {arm: harness.run(arm, preset="tiny", device="cpu", store=folder) for arm in RECORD["arms"]}
        arms = {arm: figures_of(Path(run.path)) for arm, run in runs.items()}
    GOLDEN.write_text(json.dumps({"made_on": made_here(), "preset": "tiny", "seed": 0, "arms": arms}, indent=1) + "\n")


if __name__ == "__main__":
    record()
