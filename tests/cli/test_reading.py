"""Reading a store: show, list, predict and doctor."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command, refused
from PIL import Image

from harness.presets import PRESETS
from harness.store import Folder, Store


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


def test_a_list_cuts_what_is_too_long_for_a_table(harness: Command, store: Path) -> None:
    run = next(iter(Store(store).runs()))
    run.write("experiment.json", run.read("experiment.json") | {"variant": "x" * 10_000})
    assert max(map(len, harness("list", "--store", store).out.splitlines())) < 300
    assert "x" * 10_000 in harness("list", "--store", store, "--json").out


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


def test_every_list_is_pure_json_on_request_and_a_table_otherwise(harness: Command, unharmed: Path) -> None:
    for what, names in {
        "variants": {"base", "residual", "attention", "curriculum", "tta"},
        "presets": set(PRESETS),
        "settings": {"training.optimizer.lr", "data.canvas"},
        "components": {"attention", "adamw", "moving-mnist"},
        "runs": {run.run_id for run in Store(unharmed).runs()},
        "studies": set(),
        "reports": set(),
    }.items():
        answer = harness("list", what, "--store", unharmed, "--json")
        rows = answer.document[what]
        assert names <= {row.get("name") or row.get("path") or row.get("run_id") for row in rows}
        text = harness("list", what, "--store", unharmed).out
        assert all(name in text for name in names)


def test_components_are_listed_one_row_a_field(harness: Command) -> None:
    rows = harness("list", "components", "--json", "--no-plugins").document["components"]
    (muon,) = (row for row in rows if row["name"] == "muon")
    assert (muon["slot"], muon["error"]) == ("training.optimizer", None)
    (steps,) = (one for one in muon["fields"] if one["name"] == "steps")
    assert steps == {"name": "steps", "default": 5, "range": "at least 1, at most 20", "meaning": "Newton-Schulz iterations"}
    header, *lines = harness("list", "components", "--no-plugins").out.splitlines()
    assert header.split() == ["slot", "name", "field", "default", "range", "meaning", "origin"]
    assert len(lines) == sum(max(1, len(row["fields"])) for row in rows)
    (line,) = (line for line in lines if line.split()[1:3] == ["muon", "steps"])
    assert line.startswith("training.optimizer")
    for words in (" 5 ", "at least 1, at most 20", "Newton-Schulz iterations", muon["origin"]):
        assert words in line


def test_a_broken_plugin_file_is_listed_and_stops_nothing(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    (tmp_path / "a_plugin.py").write_text("print('hello')\nraise OSError('not today')")
    words = ("--plugin", tmp_path / "a_plugin.py", "--no-plugins")
    listed = harness("list", "variants", *words, "--json")
    errors = {row["name"]: row["error"] for row in listed.document["variants"]}
    assert errors.pop("a_plugin") == "OSError: not today"
    assert set(errors.values()) == {None}
    text = harness("list", "variants", *words)
    assert "the plain ConvLSTM encoder-forecaster" in text.out
    assert "a_plugin: OSError: not today" in text.err
    assert harness("run", "--preset", "tiny", "--store", unharmed, *words, "--json").document["cached"] is True
    refused(harness("run", "--variant", "mine", "--preset", "tiny", *words, "--json"), "OSError: not today")


def test_predict_draws_a_strip_and_an_animation(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--variant", "tta", "--store", unharmed, "--json").document["run_id"]
    for name, frames in (("strip.png", 1), ("new/film.GIF", 6)):
        answer = harness("predict", run_id, "--out", tmp_path / name, "--index", 7, "--store", unharmed)
        assert answer.code == 0
        assert answer.out.startswith(f"{tmp_path / name}: test sequence 7, SSIM ")
        with Image.open(tmp_path / name) as picture:
            assert getattr(picture, "n_frames", 1) == frames
            assert picture.width > 100


def test_predict_answers_mistakes(harness: Command, unharmed: Path, tmp_path: Path, digits: Path) -> None:
    run_id = next(iter(Store(unharmed).runs())).run_id
    words = ("predict", run_id, "--store", unharmed)
    refused(harness(*words, "--out", tmp_path / "x.mp4"), "ends in .png (a strip) or .gif")
    refused(harness(*words, "--out", tmp_path / "x.png", "--index", 8), "sequences 0 to 7")
    refused(harness(*words, "--out", tmp_path / "x.png", "--index", -1), "sequences 0 to 7")
    refused(harness(*words, "--out", tmp_path / "x.png", "--digits", digits), "was made with other data")
    refused(harness(*words, "--out", Path("/dev/null/x.png")), "cannot write /dev/null/x.png", code=1)
    assert not (tmp_path / "x.png").exists()


def test_doctor_finds_nothing_wrong_with_a_sound_store(harness: Command, unharmed: Path) -> None:
    answer = harness("doctor", "--store", unharmed, "--json")
    assert (answer.code, answer.document["ok"]) == (0, True)
    assert [check["name"] for check in answer.document["checks"]] == [
        "python", "torch", "digits", "variants", "store", "records",
    ]  # fmt: skip
    text = harness("doctor", "--store", unharmed)
    assert all(line.startswith("ok ") for line in text.out.splitlines())


def test_doctor_names_digits_that_are_missing(harness: Command, tmp_path: Path) -> None:
    answer = harness("doctor", "--store", tmp_path, "--digits", tmp_path / "none")
    assert answer.code == 1
    assert f"FAIL  digits: the digits folder {tmp_path / 'none'} does not exist" in answer.out


def test_doctor_names_broken_plugins_and_a_disk_that_is_nearly_full(
    harness: Command, tmp_path: Path, fake_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_distribution("acme", "1/0", {"harness.variants": {"mine": "acme:MINE"}})
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 2**20))  # type: ignore[attr-defined]
    answer = harness("doctor", "--store", tmp_path, "--json")
    assert answer.code == 1
    wrong = {check["name"]: check["finding"] for check in answer.document["checks"] if not check["ok"]}
    assert set(wrong) == {"variants", "store"}
    assert "mine of acme 1.0: ZeroDivisionError" in wrong["variants"]
    assert "has 1 MiB free" in wrong["store"]


def test_a_report_prints_its_page_and_the_verdicts(harness: Command, store: Path) -> None:
    answer = harness("report", "--store", store)
    page, *lines = answer.out.splitlines()
    assert Path(page).is_file()
    (found,) = (run for run in Store(store).runs() if run.read("result.json")["variant"] == "base")
    rows = {line.split()[0]: line for line in lines if line}
    assert f"{found.read('result.json')['metrics']['ssim']:.4f}" in rows["base"]
    assert "4.00x inference" in rows["tta"]
