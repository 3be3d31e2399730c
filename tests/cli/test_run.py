"""`harness run` as a user meets it: one document or one clear line, the right exit code, and how it ends."""

import os
import signal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from commands import Command, contents, refused

from harness.errors import Interrupted
from harness.store import Store

NUMBER = {"type": "number"}
WHOLE = {"type": "integer", "minimum": 0}
WORD = {"type": "string", "minLength": 1}


def exactly(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


METRICS = exactly(**dict.fromkeys(("ssim", "ssim_article", "ssim_openstl", "mse", "mae", "psnr"), NUMBER))
CURVE = {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3}
CURVES = exactly(**dict.fromkeys(METRICS["required"], CURVE))
RESULT = exactly(
    run_id={"type": "string", "pattern": "^[0-9a-f]{16}$"},
    variant=WORD,
    preset=WORD,
    seed=WHOLE,
    status={"const": "finished"},
    cached={"type": "boolean"},
    resumed={"type": "boolean"},
    params={"type": "integer", "minimum": 1},
    flops_per_sequence={"type": "integer", "minimum": 1},
    metrics=METRICS,
    metrics_per_frame=CURVES,
    baselines=exactly(blank=METRICS, repeat_last=METRICS),
    training=exactly(
        steps={"type": "integer", "minimum": 1}, seconds=NUMBER, sequences_per_second=NUMBER, skipped_steps=WHOLE
    ),
    inference=exactly(frames_per_second={"type": "number", "exclusiveMinimum": 0}),
    memory={"type": "object", "minProperties": 1},
    device=WORD,
    digits=exactly(source={"const": "embedded"}, digest={"type": "string", "pattern": "^[0-9a-f]{64}$"}),
    path=WORD,
)
"""What is documented for `run --json`: these keys and no others."""


def test_run_json_has_the_documented_keys_and_a_second_run_answers_from_the_store(
    harness: Command, tmp_path: Path, quick: None
) -> None:
    first = harness("run", "--preset", "tiny", "--seed", 3, "--store", tmp_path / "store", "--json")
    assert first.code == 0
    jsonschema.validate(first.document, RESULT)
    assert first.document["seed"] == 3
    assert (first.document["cached"], first.document["resumed"]) == (False, False)
    assert Path(first.document["path"]).is_dir()
    assert first.document["training"]["steps"] == 6
    assert "step 6" in first.err
    again = harness("run", "--preset", "tiny", "--seed", 3, "--store", tmp_path / "store", "--json")
    assert again.document == first.document | {"cached": True}
    assert again.err == ""


def test_a_finished_cell_is_answered_from_the_store(harness: Command, unharmed: Path) -> None:
    for words in ((), ("--variant", "base"), ("--set", "training.seed=0"), ("--set", "training.max_lr=0.003")):
        answer = harness("run", "--preset", "tiny", "--store", unharmed, "--json", *words)
        jsonschema.validate(answer.document, RESULT)
        assert (answer.document["cached"], answer.document["variant"]) == (True, "base")
    text = harness("run", "--preset", "tiny", "--store", unharmed)
    assert [line.split()[0] for line in text.out.splitlines()[:4]] == ["test", "base", "repeat", "blank"]
    assert "(from the store)" in text.out


def test_the_answer_carries_the_name_that_was_asked_for(harness: Command, unharmed: Path) -> None:
    words = ("run", "--variant", "tta", "--set", "inference.views=identity", "--preset", "tiny", "--store", unharmed)
    document = harness(*words, "--json").document
    assert (document["cached"], document["variant"]) == (True, "tta")


def test_force_trains_again_and_the_old_run_is_kept_and_listed(harness: Command, store: Path, quick: None) -> None:
    before = harness("run", "--preset", "tiny", "--store", store, "--json").document
    kept = contents(Path(before["path"]))
    forced = harness("run", "--preset", "tiny", "--store", store, "--force", "--json").document
    assert (forced["cached"], forced["run_id"]) == (False, before["run_id"])
    assert forced["metrics"] == before["metrics"]
    assert contents(Path(before["path"] + "~1")) == kept
    rows = {row["run_id"]: row for row in harness("list", "runs", "--store", store, "--json").document["runs"]}
    assert rows[before["run_id"]]["status"] == "finished"
    assert rows[before["run_id"] + "~1"]["status"] == "superseded"
    for row in rows:
        assert harness("show", row, "--store", store, "--json").document["validation"]
        assert harness("predict", row, "--store", store, "--out", store / "x.png").code == 0


def test_dry_run_resolves_and_counts_and_writes_nothing(harness: Command, tmp_path: Path) -> None:
    words = ("run", "--dry-run", "--variant", "residual+tta", "--preset", "tiny", "--set", "training.epochs=2")
    answer = harness(*words, "--store", tmp_path / "store", "--json")
    document = answer.document
    assert answer.code == 0
    assert (document["variant"], document["params"] > 0, document["flops_per_sequence"] > 0) == ("residual+tta", True, True)
    assert document["experiment"]["training"]["steps"] == 32
    assert document["experiment"]["training"]["precision"] == "float32"
    assert document["experiment"]["architecture"]["skip"]["name"] == "residual"
    text = harness(*words, "--store", tmp_path / "store")
    assert "parameters" in text.out
    assert "training.steps = 32" in text.out
    assert os.listdir(tmp_path) == []


def test_the_preset_follows_the_device_and_is_told(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.system.devices.cuda_visible", lambda: False)
    answer = harness("run", "--dry-run", "--store", tmp_path, "--json")
    assert answer.document["preset"] == "cpu"
    assert answer.err == "preset cpu (running without a GPU; choose another with --preset)\n"


def test_a_config_file_comes_before_settings_and_the_seed_option_after(harness: Command, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[training]\nsteps = 9\nmax_lr = 0.5\nseed = 4\n[architecture]\nwidths = [8, 8]\n")
    words = ("run", "--dry-run", "--preset", "tiny", "--config", config, "--set", "training.max_lr=0.25", "--json")
    experiment = harness(*words, "--seed", 5).document["experiment"]
    assert experiment["training"] | {"steps": 9, "seed": 5} == experiment["training"]
    assert experiment["training"]["optimizer"]["lr"] == 0.25
    assert experiment["architecture"]["widths"] == [8, 8]


def test_a_value_that_was_not_finite_is_shown_as_none(harness: Command, store: Path) -> None:
    run = next(run for run in Store(store).runs() if run.read("result.json")["variant"] == "base")
    result = run.read("result.json")
    run.write("result.json", result | {"metrics": result["metrics"] | {"ssim": float("nan")}})
    assert "none" in harness("run", "--preset", "tiny", "--store", store).out
    assert harness("run", "--preset", "tiny", "--store", store, "--json").document["metrics"]["ssim"] is None
    assert harness("list", "--store", store).code == harness("show", run.run_id, "--store", store).code == 0


def test_components_are_chosen_by_name_call_and_table(harness: Command, tmp_path: Path) -> None:
    def planned(*words: object) -> dict[str, Any]:
        answer = harness("run", "--dry-run", "--preset", "tiny", "--store", tmp_path, "--json", *words)
        assert answer.code == 0, answer.err
        return dict(answer.document["experiment"])

    config = tmp_path / "config.toml"
    called = planned("--set", "training.optimizer=lion(lr=0.25, beta1=0.5)")
    assert called["training"]["optimizer"] | {"name": "lion", "lr": 0.25, "beta1": 0.5} == called["training"]["optimizer"]
    words = [f"training.optimizer{end}" for end in ("=lion", ".lr=0.25", ".beta1=0.5")]
    assert planned(*(part for word in words for part in ("--set", word))) == called
    config.write_text('[training.optimizer]\nname = "lion"\nlr = 0.25\nbeta1 = 0.5\n')
    assert planned("--config", config) == called
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())  # as some editors save it
    assert planned("--config", config) == called
    config.write_text('[training]\noptimizer = "lion(lr=0.25, beta1=0.5)"\n')
    assert planned("--config", config) == called
    chosen = planned("--set", "architecture=convlstm-stack")
    assert chosen["architecture"]["name"] == "convlstm-stack"
    config.write_text('architecture = "convlstm-stack"\n')
    assert planned("--config", config) == chosen
    assert planned("--seed", 4, "--set", "training.seed=4") == planned("--seed", 4)


@pytest.mark.parametrize(
    ("error", "said"), [(Interrupted("saved at step 3"), "saved at step 3"), (KeyboardInterrupt(), "again"), (None, "again")]
)
def test_an_interrupted_run_ends_with_130_or_143_and_says_how_to_continue(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None, said: str
) -> None:
    def interrupt(*args: object) -> None:
        if error is not None:
            raise error
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("harness.runs.cell.run_cell", interrupt)
    answer = harness("run", "--preset", "tiny", "--store", tmp_path, "--json")
    assert (answer.code, answer.out) == (143 if error is None else 130, "")
    assert answer.err.startswith("stopped: ")
    assert said in answer.err


def test_a_stopped_training_is_listed_as_unfinished_and_show_says_how_to_continue(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **options: object) -> None:
        raise Interrupted("stopped at step 3 (50%); the state is saved: run the same command again to continue")

    monkeypatch.setattr("harness.training.loop.fit", stop)
    assert harness("run", "--preset", "tiny", "--store", tmp_path).code == 130
    (row,) = harness("list", "runs", "--store", tmp_path, "--json").document["runs"]
    assert (row["variant"], row["seed"], row["status"]) == ("base", 0, "unfinished")
    shown = harness("show", row["run_id"], "--store", tmp_path)
    assert shown.code == 0
    assert "training has begun" in shown.out
    assert shown.out.endswith("continue with: harness run --variant base --preset tiny --seed 0\n")
    refused(harness("predict", row["run_id"], "--store", tmp_path), "has not finished its training", code=1)
    (training,) = Store(tmp_path).trainings()
    (training.path / "experiment.json").write_bytes(b"{")
    assert [row["status"] for row in harness("list", "--store", tmp_path, "--json").document["runs"]] == ["damaged"]


def test_memory_that_runs_out_is_one_line(harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*args: object, **options: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr("harness.training.loop.fit", too_much)
    answer = harness("run", "--preset", "tiny", "--store", tmp_path, "--json")
    refused(answer, "out of memory on cpu while training 'base' with training.batch_size=4; use --auto-batch", code=1)


def test_memory_that_runs_out_in_testing_is_one_line_and_nothing_is_trained_twice(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    words = ("run", "--preset", "tiny", "--store", tmp_path, "--json")

    def too_much(*args: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as full:
        full.setattr("harness.evaluation.baselines.evaluate", too_much)
        said = "out of memory on cpu while testing 'base' with training.batch_size=4; use --auto-batch"
        refused(harness(*words), said, "lower training.batch_size", code=1)
    (training,) = tmp_path.glob("trainings/*/training.json")
    before = training.stat().st_mtime_ns
    answer = harness(*words)
    assert answer.code == 0, answer.err
    assert training.stat().st_mtime_ns == before
    assert not (tmp_path / "quarantine").exists()
