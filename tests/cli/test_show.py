"""`harness show`: a run as it stands, and how to resume it."""

import shutil
from pathlib import Path

from commands import Command

from harness.store import Folder


def test_show_gives_result_experiment_environment_and_curve(harness: Command, unharmed: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--store", unharmed, "--json").document["run_id"]
    document = harness("show", run_id[:6], "--store", unharmed, "--json").document
    assert set(document) >= {"run_id", "path", "result", "experiment", "environment", "validation"}
    assert [line["step"] for line in document["validation"]] == [3, 6]
    assert document["experiment"]["data"]["canvas"] == 16
    text = harness("show", run_id, "--store", unharmed).out
    assert "validation SSIM" in text
    assert "data.canvas = 16" in text


def test_a_run_that_was_only_trained_is_shown_and_predicts_and_its_command_tests_it(
    harness: Command, store: Path, tmp_path: Path
) -> None:
    tested = harness("run", "--preset", "tiny", "--store", store, "--json").document
    path = store / "runs" / tested["run_id"]
    for name in ("result.json", "sequences.json", "environment.json"):
        (path / name).unlink()
    document = harness("show", tested["run_id"], "--store", store, "--json").document
    assert (document["status"], document["result"]) == ("trained", None)
    listed = harness("list", "--store", store, "--json").document["runs"]
    assert {row["run_id"]: row["status"] for row in listed}[tested["run_id"]] == "trained"
    assert {name: document["training"][name] for name in tested["training"]} == tested["training"]
    assert [line["step"] for line in document["validation"]] == [3, 6]
    text = harness("show", tested["run_id"], "--store", store).out
    assert "trained, not tested yet" in text
    assert f"best validation SSIM {document['training']['validation_ssim']:.4f}" in text
    assert harness("predict", tested["run_id"], "--out", tmp_path / "x.png", "--store", store).code == 0
    assert text.splitlines()[-1] == f"test it with: {document['command']}"
    again = harness(*document["command"].split()[1:], "--store", store, "--json").document
    assert (again["run_id"], again["metrics"]) == (tested["run_id"], tested["metrics"])


def test_show_of_a_failed_cell_says_why_it_failed(harness: Command, store: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--store", store, "--json").document["run_id"]
    (store / "runs" / run_id / "result.json").unlink()
    Folder(store / "runs" / run_id).write("failure.json", {"variant": "base", "seed": 0, "error": "it broke", "attempts": 2})
    answer = harness("show", run_id, "--store", store)
    assert answer.code == 0
    assert "failed: it broke" in answer.out
    listed = harness("list", "--store", store, "--json").document["runs"]
    assert {(row["status"], row.get("reason")) for row in listed} == {("failed", "it broke"), ("finished", None)}


def test_show_does_without_the_checkpoint(harness: Command, store: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--store", store, "--json").document["run_id"]
    shutil.rmtree(store / "trainings")
    answer = harness("show", run_id, "--store", store, "--json")
    assert (answer.code, answer.document["validation"]) == (0, [])
    assert "no validation curve" in answer.err
