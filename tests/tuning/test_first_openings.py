"""A store at any path, and several processes that open its studies for the first time at the same instant."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from harness.store import Store
from harness.tuning.command import _opened
from harness.tuning.database import FOLDER, NAME, damage

NAMES = [
    "with space",
    "50%",
    "%41",
    "a?b=c&d",
    "#1",
    "line\nbreak",
    "Zürich ☂",
    'it\'s "quoted"',
    "{braces}",
    "a;b",
    "back\\slash",
]


@pytest.mark.parametrize("name", NAMES)
def test_studies_open_whatever_the_path_holds(name: str, tmp_path: Path) -> None:
    store = Store(tmp_path / name)
    storage = _opened(None, store)
    optuna.create_study(study_name="one", storage=storage.optuna).add_trial(optuna.trial.create_trial(value=1.0))
    storage.close()
    path = store.root / FOLDER / NAME
    assert path.stat().st_size > 0
    assert damage(path) is None
    again = _opened(None, store)
    assert optuna.load_study(study_name="one", storage=again.optuna).best_value == 1.0
    again.close()
    assert [one.name for one in tmp_path.iterdir()] == [name], "nothing lies elsewhere"


OPEN = """
import sys, time
import optuna
from pathlib import Path
from harness.store import Store
from harness.tuning.command import _opened
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(max(0.0, float(sys.stdin.readline()) - time.time()))
storage = _opened(None, store)
study = optuna.create_study(study_name="one", storage=storage.optuna, load_if_exists=True)
study.add_trial(optuna.trial.create_trial(value=1.0))
storage.close()
"""


def test_four_first_openings_at_the_same_instant_all_work(tmp_path: Path) -> None:
    words = [sys.executable, "-c", OPEN, str(tmp_path / "store")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    openers = [subprocess.Popen(words, text=True, **pipes) for _ in range(4)]
    for one in openers:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    at = f"{time.time() + 0.2}\n"
    ends = [one.communicate(at, timeout=200) for one in openers]
    assert [one.returncode for one in openers] == [0, 0, 0, 0], ends
    storage = _opened(None, Store(tmp_path / "store"))
    assert len(optuna.load_study(study_name="one", storage=storage.optuna).trials) == 4
    storage.close()
