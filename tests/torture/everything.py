"""`make torture`: kills at random moments, every write failing once, and hostile input. Prints one table and JSON; exit code 1
when anything was lost, torn, made twice, different, or unexpected."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FAULTS = ("lost", "torn", "duplicated", "different", "failed", "stuck")


def start(script: str, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(HERE.parent / "support"), "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in environment.items() if not name.startswith("HARNESS_")}
    command = [sys.executable, str(HERE / script), *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    try:
        return dict(json.loads(out))
    except ValueError:
        return {"complaints": [f"{process.args!r} ended with {process.returncode} and no answer"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=110)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=1, help="Only every so many-th write fails; for a sample.")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", type=Path, help="Where to write the figures as well.")
    asked = parser.parse_args()
    began = time.monotonic()
    seed = ("--seed", str(asked.seed))
    # Of the kills each stage has its share; the two lanes hold different stages.
    lanes = [
        start("kills.py", "--kills", str(asked.kills), "--stages", stages, *seed)
        for stages in ("ablate,report", "run,study")
    ]
    answers = [answer(lane) for lane in lanes]
    every = ("--every", str(asked.every))
    lanes = [
        start("sites.py", *every, "--works", "report"),  # it takes as long as all others
        start("sites.py", *every, "--without", "report"),
        start("../fuzz/campaign.py", "--cases", str(asked.inputs + 100), *seed),  # shares are rounded
    ]
    *written, read = map(answer, lanes)
    sites = {work: count for one in written for work, count in one.get("sites", {}).items()}
    failed = {work: count for one in written for work, count in one.get("failed", {}).items()}
    figures: dict[str, Any] = {name: sum(one.get(name, 0) for one in answers) for name in ("kills", "rounds", *FAULTS)}
    for stage in ("run", "ablate", "study", "report"):
        figures[f"kills of {stage}"] = sum(one.get(f"kills of {stage}", 0) for one in answers)
    for work, count in sites.items():
        figures[f"write sites of {work}"] = count
    figures["write sites"] = sum(sites.values())
    figures["write sites failed"] = sum(failed.values())
    figures["bad inputs"] = read.get("cases", 0)
    figures["bad inputs unexpected"] = read.get("unexpected", 0)
    figures["seconds"] = round(time.monotonic() - began)
    figures["seed"] = asked.seed
    complaints = [line for one in (*answers, *written, read) for line in one.get("complaints", [])]
    complaints += [f"not reached: {line}" for one in written for line in one.get("unreached", [])]
    for name, value in figures.items():
        print(f"{name:<26}{value:>8}", file=sys.stderr)
    for line in complaints:
        print(line, file=sys.stderr)
    document = json.dumps(figures | {"complaints": complaints})
    print(document)
    if asked.json:
        asked.json.write_text(document + "\n")
    enough = figures["kills"] >= asked.kills and figures["bad inputs"] >= asked.inputs and figures["write sites failed"] > 0
    if asked.every == 1:
        enough = enough and figures["write sites failed"] == figures["write sites"]
    wrong = complaints or any(figures[name] for name in (*FAULTS, "bad inputs unexpected")) or not enough
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
