"""`harness study`, with real trainings of the tiny preset."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ARMS = ["MSE only", "SSIM only", "0.7 MSE + 0.3 SSIM"]
THIRD_PARTY = """
from harness.studies import Float, Study
STUDY = Study(
    name="theirs", summary="a third party's", owns=("training.clip_norm",),
    space=lambda experiment, options: {"clip": Float(low=0.5, high=2.0)},
    to_settings=lambda params, experiment: {"training.clip_norm": params["clip"]},
    objective=lambda summary: %s,
)
"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store with a study of four trials, the last one searched, and its document."""
    store = tmp_path_factory.mktemp("tuned") / "store"
    return store, study(store, "--trials", "4")


def command(store: Path, *words: str, name: str = "loss-weights") -> list[str]:
    call = [
        sys.executable,
        "-m",
        "harness.cli.app",
        "study",
        name,
        "--preset",
        "tiny",
        "--store",
        str(store),
        "--json",
        *words,
    ]
    return [*call, "--no-plugins"]


def study(store: Path, *words: str, name: str = "loss-weights") -> dict[str, Any]:
    done = subprocess.run(command(store, *words, name=name), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_document_has_the_articles_arms_first(tuned: tuple[Path, dict[str, Any]]) -> None:
    _, document = tuned
    assert document["name"] == "loss-weights"
    assert [trial["arm"] for trial in document["trials"]] == [*ARMS, None]
    assert [arm["name"] for arm in document["arms"]] == ARMS
    weights = [{key: trial["settings"][f"loss.{key}"] for key in ("mse", "ssim", "mae")} for trial in document["trials"]]
    assert weights[:3] == [
        {"mse": 1, "ssim": 0, "mae": 0},
        {"mse": 0, "ssim": 1, "mae": 0},
        {"mse": 0.7, "ssim": 0.3, "mae": 0},
    ]
    assert all(sum(one.values()) == pytest.approx(1) for one in weights)
    assert all(trial["state"] in ("COMPLETE", "PRUNED") and len(trial["run_ids"]) == 1 for trial in document["trials"])
    assert document["best"]["value"] == max(trial["value"] for trial in document["trials"] if trial["state"] == "COMPLETE")


def test_the_value_is_the_validation_ssim_and_no_test_data_was_touched(tuned: tuple[Path, dict[str, Any]]) -> None:
    store, document = tuned
    trial = document["trials"][0]
    assert not list(store.glob("runs/*/result.json"))
    key = json.loads((store / "runs" / trial["run_ids"][0] / "experiment.json").read_text())["training_key"]
    assert trial["value"] == json.loads((store / "trainings" / key / "training.json").read_text())["validation_ssim"]


def test_the_chosen_setting_is_a_config_whose_training_is_there(
    tuned: tuple[Path, dict[str, Any]], harness: Any, quick: None
) -> None:
    store, document = tuned
    best = document["best"]
    answer = harness("run", "--preset", "tiny", "--config", best["config"], "--store", store, "--json")
    assert answer.document["run_id"] in {one for trial in document["trials"] for one in trial["run_ids"]}
    assert "step" not in answer.err  # nothing was trained
    assert harness("show", answer.document["run_id"], "--store", store).code == 0


def test_learning_rate_sees_as_many_sequences_in_every_trial(tmp_path: Path) -> None:
    document = study(tmp_path / "store", "--trials", "3", "--workers", "2", name="learning-rate")
    seen = [trial["settings"]["training.steps"] * trial["settings"]["training.batch_size"] for trial in document["trials"]]
    assert all(
        abs(one - 24) <= trial["settings"]["training.batch_size"] / 2
        for one, trial in zip(seen, document["trials"], strict=True)
    )
    text = Path(document["best"]["config"]).read_text()
    assert "[training]" in text
    assert "[training.optimizer]" in text
    assert "lr = " in text


def test_killed_at_any_time_it_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = ("--trials", "4", "--set", "training.steps=60", "--set", "training.validate_every=10")
    for moment, everything in ((0, True), (1, False)):  # all of its processes, then the parent alone
        process = subprocess.Popen(
            command(store, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 60
        while len(list(store.glob("trainings/*/best-*"))) <= moment and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        if everything:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    document = study(store, *words)
    assert document["counts"] == {"complete": 4 - document["counts"]["pruned"], "pruned": document["counts"]["pruned"]} | {
        "failed": 0,
        "running": 0,
        "waiting": 0,
    }
    assert sorted(trial["arm"] for trial in document["trials"] if trial["arm"]) == sorted(ARMS)
    assert len(list(store.glob("trainings/*"))) == 4


def test_a_third_partys_study_is_a_file(tmp_path: Path, harness: Any) -> None:
    store, plugin = tmp_path / "store", tmp_path / "theirs.py"
    plugin.write_text(THIRD_PARTY % "summary['validation_ssim'] + 1")
    words = ("study", "theirs", "--preset", "tiny", "--store", store, "--plugin", plugin, "--trials", 1, "--json")
    answer = harness(*words)
    assert answer.code == 0, answer.err
    assert answer.document["best"]["value"] > 1
    plugin.write_text((THIRD_PARTY % "1.0").replace("high=2.0", "high=3.0"))
    assert "training.clip_norm" in harness(*words, "--set", "training.clip_norm=2").error
    plugin.write_text(THIRD_PARTY % "1 / 0")
    broken = harness(*(word if word != 1 else 2 for word in words), "--max-failures", 1)
    assert broken.code == 1
    assert "study 'theirs' raised in its objective: ZeroDivisionError" in broken.error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("loss-weight",), "unknown study 'loss-weight'; did you mean 'loss-weights'?"),
        (("loss-weights", "--trials", "0"), "--trials 0"),
        (("loss-weights", "--set", "loss.mse=1"), "loss.mse is what the study 'loss-weights' searches"),
        (("loss-weights", "--with", "l3"), "has no option 'l3'; its options: l1"),
        (("loss-weights", "--workers", "0"), "--workers 0"),
        (("loss-weights", "--confirm", "0"), "--confirm 0"),
        (("loss-weights", "--variant", "atention"), "did you mean 'attention'"),
        (("loss-weights", "--storage", "postgres//u:s3cr3t@h/d"), "is no URL"),
        (("loss-weights", "--study-name", "a/b"), "--study-name 'a/b'"),
    ],
)
def test_a_wrong_request_is_one_clear_line(words: tuple[str, ...], message: str, harness: Any, tmp_path: Path) -> None:
    answer = harness("study", *words, "--preset", "tiny", "--store", tmp_path / "store")
    assert answer.code == 2
    assert message in answer.error
    assert "s3cr3t" not in answer.err + answer.out


def test_a_password_is_in_no_record(tmp_path: Path) -> None:
    from harness.runs.request import Request
    from harness.tuning.request import StudyRequest

    url = "postgresql://u:s3cr3t@h/d?password=s3cr3t"
    asked = StudyRequest(
        study="x", variant="base", request=Request(preset="tiny"), storage=url, words=("harness", f"--storage={url}")
    )
    assert "s3cr3t" not in asked.command
    assert "u:***@h/d" in asked.command


@pytest.fixture
def dashboard(tuned: tuple[Path, dict[str, Any]]) -> Iterator[str]:
    pytest.importorskip("optuna_dashboard")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "harness.cli.app", "study", "loss-weights", "--store", str(tuned[0]), "--dashboard"]
    process = subprocess.Popen([*words, "--port", str(port)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def test_the_dashboard_lists_the_study(dashboard: str, tuned: tuple[Path, dict[str, Any]]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{dashboard}/api/studies", timeout=5) as answer:
                studies = json.load(answer)["study_summaries"]
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert [one["study_name"] for one in studies] == [tuned[1]["id"]]
