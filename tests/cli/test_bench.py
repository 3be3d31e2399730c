"""`harness bench`: what is printed, and a recorded ratio that was lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Command

from harness.bench import speed
from harness.cli.bench import CONTENDERS


def row(contender: str, took: float, batch: int, **more: Any) -> dict[str, Any]:
    return {
        **{
            "contender": contender,
            "batch": batch,
            "precision": "float32",
            "memory_bytes": 3 * 2**20,
            "reserved_bytes": None,
        },
        **{"sequences_per_second": 1e3 * batch / took, "frames_per_second": 3e3 * batch / took},
        **{"ms_fastest": took - 0.5, "ms_slowest": took + 0.5, "flops_per_second": 2e9, "share_of_peak": 0.25},
        **more,
    }


def training(contender: str, ms: float, **more: Any) -> dict[str, Any]:
    return row(contender, ms, 2, ms_per_step=ms, ms=dict.fromkeys(speed.PHASES, ms / 4), **more)


DOCUMENT: dict[str, Any] = {
    **{"preset": "tiny", "batch": 2, "rounds": 5, "clock": "processor", "device": "imaginary processor"},
    "peaks": {"flops_per_second": {"float32": 8e9}, "bytes_per_second": 1.5e10},
    "training": [training("fast", 4.0), training("article-float32", 10.0, reserved_bytes=2**22)],
    "inference": [row("fast", 1.0, 1, ms=1.0), row("article-float32", 3.0, 1, ms=3.0, memory_bytes=None)],
    "ratios": {"fast over article-float32": {"training": 2.5, "inference batch 1": 3.0}},
}


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "bench", lambda *words, **options: DOCUMENT)


def test_a_table_for_training_and_one_for_inference_then_the_ratios(harness: Command) -> None:
    answer = harness("bench", "--preset", "tiny")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "preset tiny, batch 2, 5 rounds, processor time, on imaginary processor"
    assert lines[1] == "peak here: 8 GFLOP/s in float32; 15.0 GB/s"
    assert lines[2].split()[:2] == ["training", "precision"]
    fast = dict(zip([*lines[2].replace("of peak", "share").split()], lines[3].split(), strict=True))
    assert (fast["seq/s"], fast["frames/s"], fast["ms/step"], fast["fastest-slowest"]) == ("500", "1,500", "4.0", "3.5-4.5")
    assert (fast["forward"], fast["GFLOP/s"], fast["share"], fast["MiB"]) == ("1.0", "2", "25%", "3")
    assert lines[4].endswith("3/4")
    assert lines[5].split()[0] == "inference"
    assert lines[-1] == "fast over article-float32: training 2.50, inference batch 1 3.00"
    assert harness("bench", "--preset", "tiny", "--json").document == DOCUMENT


def test_a_lost_ratio_fails_and_is_named(harness: Command, tmp_path: Path) -> None:
    for ratio, code in ((3.0, 0), (3.2, 1)):
        (tmp_path / "recorded.json").write_text(json.dumps({"ratios": {"fast over article-float32": {"training": ratio}}}))
        assert harness("bench", "--preset", "tiny", "--check", tmp_path / "recorded.json").code == code
    error = harness("bench", "--preset", "tiny", "--check", tmp_path / "recorded.json").error
    assert "slower than recorded: fast over article-float32, training: 2.50 times as fast, recorded were 3.20" in error


def test_the_contenders_of_the_help_are_those_that_there_are() -> None:
    assert CONTENDERS.split(",") == [one.name for one in speed.CONTENDERS]
