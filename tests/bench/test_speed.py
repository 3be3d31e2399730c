"""The benchmark compares networks that compute the same, in one run, and notices a lost ratio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.bench import speed as bench
from harness.data.source import open_source
from harness.errors import RequestError
from harness.model.build import build_model
from harness.presets import preset
from harness.runs.request import resolve
from harness.training.build import build_loss, build_optimizer


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return bench.bench("tiny", "cpu", batch=2, rounds=2, names=["fast", "article-float32"])


def test_every_contender_has_its_rows_and_figures(document: dict[str, Any]) -> None:
    assert [row["contender"] for row in document["training"]] == ["fast", "article-float32"]
    assert [(row["contender"], row["batch"]) for row in document["inference"]] == [
        ("fast", 1),
        ("article-float32", 1),
        ("fast", 2),
        ("article-float32", 2),
    ]
    for row in document["training"]:
        assert set(row["ms"]) == set(bench.PHASES)
        assert row["ms_fastest"] <= row["ms_per_step"] <= row["ms_slowest"]
        assert row["sequences_per_second"] == pytest.approx(2e3 / row["ms_per_step"])
    for row in (*document["training"], *document["inference"]):
        assert row["frames_per_second"] == pytest.approx(row["sequences_per_second"] * preset("tiny").data.horizon)
        assert row["share_of_peak"] == pytest.approx(
            row["flops_per_second"] / document["peaks"]["flops_per_second"][row["precision"]]
        )
        assert row["memory_bytes"] > 0
    assert document["peaks"]["bytes_per_second"] > 0
    assert document["environment"]["packages"]["torch"]
    json.dumps(document, allow_nan=False)


@pytest.mark.slow  # PyTorch's exporter takes most of it
def test_onnxruntime_predicts_beside_the_others_and_trains_nothing() -> None:
    pytest.importorskip("onnxruntime")
    found = bench.bench("tiny", "cpu", batch=2, rounds=1, names=["fast", "onnx"])
    assert [row["contender"] for row in found["training"]] == ["fast"]
    rows = {(row["contender"], row["batch"]): row for row in found["inference"]}
    assert set(rows) == {("fast", 1), ("onnx", 1), ("fast", 2), ("onnx", 2)}
    assert all(row["ms"] > 0 for row in rows.values())
    assert found["ratios"] == {
        "fast over onnx": {f"inference batch {n}": rows["onnx", n]["ms"] / rows["fast", n]["ms"] for n in (1, 2)}
    }


def test_a_contenders_memory_is_its_own_and_not_that_of_who_measures() -> None:
    large = torch.ones(2**28)  # a new process inherits its parent's peak in what getrusage says
    del large
    found = bench.memory_of("article-float32", "tiny", 2, "cpu", None)["training"]["memory_bytes"]
    assert found is not None
    assert 0 < found < 2**29


@pytest.mark.parametrize("name", ["fast-float32", "reference-float32"])
def test_a_step_is_that_of_the_presets_optimizer(name: str) -> None:
    experiment = resolve(preset("tiny"), "cpu").replace({"training.optimizer": "muon"})  # it must find a cell's gates
    source, data = open_source(experiment.data), experiment.data
    frames = source.train_batch(0, 0, 4, data.horizon, torch.device("cpu"))
    stepper = bench.Stepper(bench._contender(name), experiment, source.shape, torch.device("cpu"))
    stepper.step(lambda: frames)
    model = build_model(experiment.architecture, source.shape, 0)
    optimizer = build_optimizer(experiment, model)
    loss = build_loss(experiment)(model(frames[:, : data.input_frames], data.horizon), frames[:, data.input_frames :], 1.0)
    loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    for found, expected in zip(stepper.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_ratios_are_of_the_medians(document: dict[str, Any]) -> None:
    fast, article = document["training"]
    assert document["ratios"]["fast over article-float32"]["training"] == pytest.approx(
        article["ms_per_step"] / fast["ms_per_step"]
    )
    assert set(document["ratios"]["fast over article-float32"]) >= {"training", "inference batch 1", "inference batch 2"}


def test_a_fifth_of_a_recorded_ratio_may_be_lost_and_no_more(document: dict[str, Any], tmp_path: Path) -> None:
    now = document["ratios"]["fast over article-float32"]["training"]
    recorded = tmp_path / "recorded.json"
    for factor, complaints in ((1.2, 0), (1.3, 1)):
        recorded.write_text(json.dumps({"ratios": {"fast over article-float32": {"training": now * factor}}}))
        assert len(bench.check(document, recorded)) == complaints
    recorded.write_text(json.dumps({"ratios": {"fast over reference-float32": {"training": 1.0}}}))
    assert "not measured" in bench.check(document, recorded)[0]
    recorded.write_text(json.dumps({"preset": "paper", "ratios": {}}))
    with pytest.raises(RequestError, match="preset paper"):
        bench.check(document, recorded)
    recorded.write_text("{")
    with pytest.raises(RequestError, match="recorded ratios"):
        bench.check(document, recorded)


@pytest.mark.parametrize("change", [{"rounds": 0}, {"batch": 0}, {"names": ["slow"]}])
def test_other_requests_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        bench.bench("tiny", "cpu", **change)


def test_the_recorded_ratios_are_what_the_target_measures() -> None:
    recorded = json.loads((Path(__file__).parents[2] / "benchmarks" / "recorded.json").read_text())
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    command = next(line for line in makefile.splitlines() if "--check benchmarks/recorded.json" in line)
    assert f"--preset {recorded['preset']} " in command
    names = command.partition("--contenders ")[2].split()[0].split(",")
    assert {f"{names[0]} over {other}" for other in names[1:]} == set(recorded["ratios"])
    assert all(ratio > 1 for kinds in recorded["ratios"].values() for ratio in kinds.values())
