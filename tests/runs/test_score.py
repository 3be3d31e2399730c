"""Predictions made elsewhere: exported sequences, scored files and predictors, and their place in lists, tables and verdicts."""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Command
from stored_sequences import faded

from harness.evaluation.baselines import repeat_last
from harness.library import compare, open_store, report

TINY = ("-p", "tiny")


def test_a_scored_file_stands_beside_base_in_lists_tables_and_comparisons(
    harness: Command, exported: np.ndarray, store: Path, tmp_path: Path
) -> None:
    for seed in (0, 1):
        np.save(f"{seed}.npy", faded(exported, 0.8 - 0.1 * seed))
    where = ("--store", store)
    answer = harness("score", "0.npy", "1.npy", "--name", "theirs", *TINY, *where, "--json")
    first, second = answer.document["runs"]
    assert (first["seed"], second["seed"], first["variant"]) == (0, 1, "theirs")
    base = next(one for one in harness("list", "runs", *where, "--json").document["runs"] if one["variant"] == "base")
    whole = harness("show", base["run_id"], *where, "--json").document
    assert first["baselines"] == whole["result"]["baselines"]
    assert json.loads(Path("test.json").read_text())["test_digest"] == whole["result"]["test_digest"]
    assert not (store / "trainings" / first["run_id"]).exists()

    shown = harness("show", first["run_id"], *where)
    assert "nothing was trained: predictions of 0.npy · seed 0" in shown.out
    assert (
        harness("show", first["run_id"], *where, "--json")
        .document["command"]
        .startswith("harness score 0.npy --name theirs")
    )
    assert "has no network" in harness("predict", first["run_id"], *where).error
    assert harness("doctor", *where).code == 0

    text = (report(store, tmp_path / "report").parent / "report.md").read_text()
    assert "theirs: +" in text
    assert "| theirs | - | - |" in text
    assert "--plan theirs" not in text
    assert "plugins that are not installed" not in text
    found = open_store(store)
    assert list(found.verdicts()["variant"]) == ["theirs", "tta"]
    assert {one.parameters for one in found.where(variant="theirs")} == {None}
    assert not compare(store, tmp_path / "report").regressed

    again = harness("score", "0.npy", "--name", "theirs", *TINY, *where, "--set", "metrics=csi", "--json").document["runs"][
        0
    ]
    assert again["run_id"] == first["run_id"]
    assert 0 <= again["metrics"]["csi"] <= 1
    kept = harness("score", "0.npy", "--name", "theirs", *TINY, *where, "--json").document["runs"][0]
    assert kept["metrics"] == again["metrics"]


def test_a_report_of_predictions_made_elsewhere_alone(harness: Command, exported: np.ndarray, tmp_path: Path) -> None:
    np.save("0.npy", faded(exported, 1.0))
    assert harness("score", "0.npy", *TINY, "--store", "alone").code == 0
    assert report("alone").is_file()


def test_predictors_are_called_and_give_the_predictions_of_their_file(harness: Command, exported: np.ndarray) -> None:
    Path("last.py").write_text("def predict(inputs, horizon):\n    return inputs[:, -1:].repeat(1, horizon, 1, 1, 1)\n")
    np.save("last.npy", faded(exported, 1.0))
    called = harness("score", "--predictor", "last:predict", *TINY, "--store", "s", "--json").document["runs"][0]
    assert called["metrics"] == called["baselines"]["repeat_last"]
    from_file = harness("score", "last.npy", *TINY, "--store", "s", "--json").document["runs"][0]
    assert from_file["run_id"] == called["run_id"]

    class Last(torch.nn.Module):
        def forward(self, inputs: torch.Tensor, horizon: int) -> torch.Tensor:
            return inputs[:, -1:].repeat(1, horizon, 1, 1, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Last()), "last.pt")
    scripted = harness("score", "--predictor", "last.pt", *TINY, "--store", "s", "--json").document["runs"][0]
    assert scripted["run_id"] == called["run_id"]


def test_bytes_are_intensities(harness: Command, exported: np.ndarray) -> None:
    np.save("bytes.npy", np.round(faded(exported, 1.0) * 255).astype(np.uint8))
    found = harness("score", "bytes.npy", *TINY, "--store", "s", "--json").document["runs"][0]
    last = found["baselines"]["repeat_last"]
    assert found["metrics"]["ssim"] == pytest.approx(last["ssim"], abs=1e-3)


def spoiled(frames: np.ndarray, value: float) -> np.ndarray:
    found = faded(frames, 1.0)
    found[5, 1, 0, 3, 3] = value
    return found


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda frames: faded(frames, 1.0)[:7], "(7, 3, 1, 16, 16)"),
        (lambda frames: faded(frames, 1.0)[:, :2], "= (8, 3, 1, 16, 16)"),
        (lambda frames: spoiled(frames, math.nan), "test sequence 5 holds NaN"),
        (lambda frames: spoiled(frames, math.inf), "test sequence 5 holds NaN"),
        (lambda frames: faded(frames, 1.0) * 255, "intensities in [0, 1]"),
        (lambda frames: faded(frames, 1.0).astype(np.int64), "int64"),
        (lambda frames: np.array([{}]), "never loaded"),
    ],
)
def test_predictions_that_cannot_be_judged_are_refused_in_one_line(
    make: object, said: str, harness: Command, exported: np.ndarray
) -> None:
    np.save("bad.npy", make(exported), allow_pickle=True)  # type: ignore[operator]
    answer = harness("score", "bad.npy", *TINY, "--store", "s")
    assert answer.code == 2
    assert said in answer.error
    assert not Path("s/runs").exists()


def test_an_onnx_file_is_scored_as_what_it_computes(
    harness: Command, exported: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnx import TensorProto, helper, save

    frames = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, 1, 16, 16]) for name in ("shown", "predicted")]
    same = helper.make_node("Identity", ["shown"], ["predicted"])  # predicts the frames that it was shown
    model = helper.make_model(helper.make_graph([same], "same", frames[:1], frames[1:]))
    model.ir_version = 10
    save(model, "same.onnx")
    np.save("same.npy", exported[:, :3])
    by_model, by_file = (
        harness("score", *words, *TINY, "--store", "s", "--json").document["runs"][0]["metrics"]
        for words in (("--predictor", "same.onnx", "--name", "model"), ("same.npy", "--name", "file"))
    )
    assert by_model == by_file
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "needs onnxruntime" in harness("score", "--predictor", "same.onnx", *TINY, "--store", "s").error


def test_an_export_that_cannot_be_made_is_refused_in_one_line(harness: Command, tmp_path: Path) -> None:
    assert "choices" in harness("data", "export", *TINY, "--split", "train", "--out", tmp_path / "x.npy").error
    assert "ends in .npy" in harness("data", "export", *TINY, "--out", tmp_path / "x.csv").error
    (tmp_path / "file").write_text("")
    answer = harness("data", "export", *TINY, "--out", tmp_path / "file" / "x.npy")
    assert (answer.code, "cannot write" in answer.error) == (1, True)
    assert harness("data", "export", *TINY, "--split", "validation", "--out", tmp_path / "v.npy").code == 0
    assert np.load(tmp_path / "v.npy").shape == (4, 6, 1, 16, 16)


def test_predictions_of_other_frames_do_not_join(harness: Command, exported: np.ndarray, store: Path) -> None:
    assert harness("data", "export", *TINY, "--set", "data.horizon=2", "--out", "short.npy").code == 0
    frames = torch.from_numpy(np.load("short.npy"))
    np.save("short-p.npy", repeat_last(frames[:, :3], 2).numpy())
    assert harness("score", "short-p.npy", *TINY, "--set", "data.horizon=2", "--store", store).code == 0
    assert "theirs" not in set(open_store(store).verdicts()["variant"])
    assert report(store).is_file()


def test_what_takes_the_networks_place_is_an_arm_of_a_plan_and_trains_nothing(harness: Command, tmp_path: Path) -> None:
    store = ("--store", tmp_path)
    words = ("--preset", "tiny", "--seeds", "2", "--variants", "base", "--sweep", "inference.predictor=repeat-last")
    plan = harness("ablate", *words, *store, "--json")
    assert [cell["status"] for cell in plan.document["cells"]] == ["finished"] * 4
    assert len(list((tmp_path / "trainings").iterdir())) == 2  # base's
    rows = {(row["variant"], row["seed"]): row for row in harness("list", "runs", *store, "--json").document["runs"]}
    arm, base = (rows[name, 0] for name in ("base(inference.predictor=repeat-last)", "base"))
    shown = harness("show", base["run_id"], *store, "--json").document["result"]
    assert arm["ssim"] == shown["baselines"]["repeat_last"]["ssim"]

    again = harness("run", "--preset", "tiny", "--set", "inference.predictor=repeat-last", *store, "--json").document
    assert (again["run_id"], again["cached"]) == (arm["run_id"], True)
    told = harness("show", arm["run_id"], *store, "--json").document["command"]
    assert told == "harness run --variant 'base(inference.predictor=repeat-last)' --preset tiny --seed 0"
    assert harness("doctor", *store).code == 0
    study = harness(
        *("study", "learning-rate", "--trials", "1", "--preset", "tiny"), *store, "--set", "inference.predictor=blank"
    )
    assert "trains nothing" in study.error
    assert "trains nothing" in harness("ablate", *words, *store, "--tune", "2").error

    page = (report(tmp_path, tmp_path / "page").parent / "report.md").read_text()
    assert "prediction and difference of base, base(" in page  # drawn without a checkpoint
    assert "not finite (seed" not in page
    assert harness("predict", arm["run_id"], "--out", tmp_path / "arm.png", *store).code == 0
    assert "has no network" in harness("export", arm["run_id"], "--out", tmp_path / "arm.onnx", *store).error
    assert harness("store", "export", "--out", tmp_path / "b.zip", *store).code == 0
    fresh = harness("reproduce", tmp_path / "b.zip", "--store", tmp_path / "fresh", "--json").document
    assert [one["agrees"] for one in fresh["runs"] if one["variant"] == arm["variant"]] == ["bit for bit"] * 2
