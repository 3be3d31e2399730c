"""The script for the day a GPU is there: what fits the time, what is not run twice, and what is told to stop."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from harness.ablation import sequential
from harness.presets import PRESETS


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_script"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


STEPS = {"paper": 0.06, "evening": 0.015, "cpu": 0.01}
OWN = {"paper": 7800, "evening": 6000, "cpu": 1800}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        # Three blocks of 8.5 trainings at 1.3 times their steps: 33.15 s for every second of one training.
        (33.15 * 0.06 * 7800, ("paper", 7800)),
        (33.15 * 0.06 * 1950 + 1, ("paper", 1950)),  # a quarter of paper's own will do
        (33.15 * 0.06 * 1949, ("evening", 6000)),
        (33.15 * 0.01 * 1800 + 1, ("cpu", 1800)),
        (33.15 * 0.01 * 500 + 0.1, ("cpu", 500)),  # no budget fits: as many steps of the cheapest as do
    ],
)
def test_the_table_is_the_best_preset_that_fits(gpu: ModuleType, seconds: float, expected: tuple[str, int]) -> None:
    assert gpu.table_of(STEPS, OWN, gpu.GPU, seconds) == expected


def test_the_table_has_as_many_blocks_of_seeds_as_fit_and_stops_at_those_that_decide(gpu: ModuleType) -> None:
    block = 8.5 * 1.3 * 10  # of trainings of 10 s
    for seconds, expected in ((block, 3), (3.9 * block, 3), (5.1 * block, 5), (99 * block, 30)):
        assert gpu.seeds_of(10, gpu.GPU, seconds) == expected
    assert sequential.FEWEST == 4
    assert gpu.seed_words(3) == ("--seeds", "3")
    assert gpu.seed_words(5) == ("--seeds", "auto", "--max-seeds", "5")


def test_every_preset_that_it_names_exists_and_has_a_number_of_steps(gpu: ModuleType) -> None:
    for setup in (gpu.GPU, gpu.REHEARSAL):
        for name in {*setup.presets, setup.quality}:
            assert (PRESETS[name][1].training.steps or gpu.steps_of_epochs(name)) > 0
    assert gpu.steps_of_epochs("paper") == round(50 * 10_000 / 64)


def test_times_are_read_and_nonsense_is_not(gpu: ModuleType) -> None:
    assert [gpu.seconds_of(text) for text in ("28m", "90", "1.5h", "10s")] == [1680, 90, 5400, 10]
    for text in ("-1m", "xx", "", "0", "inf", "nan"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no length of time; give 28m"):
            gpu.seconds_of(text)


def test_a_command_runs_once_and_stops_at_its_limit(gpu: ModuleType, tmp_path: Path) -> None:
    call = gpu.Call(gpu.REHEARSAL, tmp_path, 60)
    append = (sys.executable, "-c", "open(r'%s', 'a').write('x'); print('made')" % (tmp_path / "count"))
    for _ in range(2):
        call._command("speed", "once.txt", append, 30)
    assert ((tmp_path / "once.txt").read_text(), (tmp_path / "count").read_text()) == ("made\n", "x")

    started = time.monotonic()
    call._command("table", "long.txt", (sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"), 2)
    assert time.monotonic() - started < 30, "it was told to stop"
    assert not (tmp_path / "long.txt").exists()
    assert (tmp_path / "long.unfinished").read_text() == "begun\n"

    call._command("table", "never.txt", append, 0.5)  # too little time to begin
    exits = [json.loads(line)["exit"] for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert exits == [0, -15, 124]
    assert (tmp_path / "count").read_text() == "x"


def test_sizes_are_chosen_again_until_their_plan_has_begun(gpu: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "step-tiny.json").write_text('a note first\n{"training": [{"ms_per_step": 1000}]}')

    setup = replace(gpu.REHEARSAL, networks=(), network_seconds=math.inf)

    def chosen(budget: float) -> tuple[int, float]:
        call = gpu.Call(setup, tmp_path, budget)
        call._choose(budget)
        call._networks(budget)
        return call.chosen[1], json.loads((tmp_path / "network-seconds.json").read_text())

    # Two blocks of 8.5 trainings at 1.3 times their steps of a second, in 0.28 of the budget; 11 networks in all of theirs.
    assert chosen(240) == (int(240 * 0.28 / 22.1), round(240 / 28.6, 2))
    assert chosen(400) == (int(400 * 0.28 / 22.1), round(400 / 28.6, 2))
    (tmp_path / "store" / "plans").mkdir(parents=True)
    (tmp_path / "store" / "plans" / "table.json").write_text("{}")
    assert chosen(240) == (int(400 * 0.28 / 22.1), round(240 / 28.6, 2))
    (tmp_path / "store" / "plans" / "networks.json").write_text("{}")
    assert chosen(300) == (int(400 * 0.28 / 22.1), round(240 / 28.6, 2))


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([("turns", 1, 100), ("turns", 2, 150), ("processes", 2, 120), ("turns", 4, 300)], ("--cells-per-process", 4, 3.0)),
        ([("turns", 1, 100), ("turns", 2, 150), ("processes", 2, 170)], ("--workers", 2, 1.7)),
        ([("turns", 1, 100), ("turns", 2, 104)], ("--workers", 1, 1.0)),  # not worth it
        ([("turns", 1, 100), ("turns", 2, 180), ("turns", 4, None)], ("--cells-per-process", 2, 1.8)),  # four did not fit
        ([("turns", 1, None)], ("--workers", 1, 1.0)),
    ],
)
def test_cells_train_at_once_as_was_measured_to_be_fastest(
    gpu: ModuleType, rates: list[tuple[str, int, float | None]], expected: tuple[str, int, float], tmp_path: Path
) -> None:
    rows = [
        {"how": how, "cells": count} | ({"sequences_per_second": rate} if rate else {"error": "memory"})
        for how, count, rate in rates
    ]
    (tmp_path / "together-cpu.json").write_text(json.dumps({"rows": rows}))
    assert gpu.at_once(tmp_path / "together-cpu.json", gpu.GPU) == expected
    assert gpu.at_once(tmp_path / "together-paper.json", gpu.GPU) == ("--workers", 1, 1.0)


STAND_IN = """
import json, os, signal, sys
from pathlib import Path
words = sys.argv[1:]
with Path(os.environ["CALLS"]).open("a") as lines:
    lines.write(json.dumps(words) + "\\n")
if "ablate" in words:
    store = Path(words[words.index("--store") + 1])
    (store / "plans").mkdir(parents=True, exist_ok=True)
    (store / "plans" / f"{words[words.index('--plan') + 1]}.json").write_text("{}")
if os.environ["DIES"] in words:
    os.kill(os.getpid(), signal.SIGKILL)
if "benchmarks/together.py" in words:
    print(json.dumps({"rows": [{"how": "turns", "cells": count, "sequences_per_second": 1.0} for count in (1, 2)]}))
else:
    print(json.dumps({"training": [{"contender": "fast", "ms_per_step": 1.0, "share_of_peak": 0.5}]}))
"""


def test_all_stages_in_their_order_and_the_same_call_goes_on(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands are stand-ins that train nothing: `make gpu-rehearsal` runs the true ones."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "stand_in.py"} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(gpu, "HARNESS", (str(python), "-m", "harness"))
    monkeypatch.setattr(gpu.sys, "executable", str(python))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    out = tmp_path / "out"

    def run(dies: str) -> tuple[int, list[list[str]]]:
        monkeypatch.setenv("DIES", dies)
        (tmp_path / "calls").unlink(missing_ok=True)
        code = gpu.Call(gpu.REHEARSAL, out, 600).run()
        return code, [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]

    def plans(calls: list[list[str]]) -> list[str]:
        return [words[words.index("--plan") + 1] for words in calls if "ablate" in words]

    code, calls = run(dies="add-one")
    assert (code, plans(calls)) == (1, ["add-one", "networks"])
    commands = ("pytest", "bench", "run", "ablate", "report", "benchmarks/kernels.py", "benchmarks/together.py")
    begun = [next(word for word in words if word in commands) for words in calls]
    speed = ["bench", *["bench", "benchmarks/kernels.py"] * len(gpu.REHEARSAL.batches), "benchmarks/together.py"]
    assert begun == ["pytest", *speed, "run", "ablate", "ablate", "report"]
    assert "missing: table.json; the same call continues" in capsys.readouterr().out
    table = next(words for words in calls if "add-one" in words)
    assert table[table.index("--cells-per-process") + 1] == "2"

    code, calls = run(dies="nothing")
    assert (code, plans(calls), len(calls)) == (0, ["add-one"], 2)  # what is missing, and the report of what is there now
    assert "complete" in capsys.readouterr().out
    for name in ("tests.txt", "quality.json", "table.json", "networks.json", "levels.json", "README.md", "report-store.txt"):
        assert (out / name).exists(), name
    assert "fast 1.0 ms, 50% of peak" in (out / "README.md").read_text()
