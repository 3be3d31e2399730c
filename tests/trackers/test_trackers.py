"""Each tracker writes what its own reader finds again: curves with steps, final figures, a picture, and the way to the record."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from trainings import cell_of

from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.store import Store, Training

CHANGES: dict[str, object] = {
    "training.steps": 20,
    "training.validate_every": 10,
    "data.test_sequences": 2,
    "data.validation_sequences": 2,
}


@pytest.fixture
def tracked(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(store, result, validation SSIM by step) of a run with the tracker that the test names."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported, here and nowhere before
    pytest.importorskip(request.param)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    notes: list[str] = []
    cell, source = cell_of(CHANGES, "attention")
    outcome = run_cell(cell, Store(tmp_path), source, RunOptions(hooks=[request.param]), Context(note=notes.append))
    assert [text for text in notes if "hook" in text] == []
    (training,) = Store(tmp_path).trainings()
    return tmp_path, outcome.result, _ssim(training)


def wandb_records(data: bytes) -> list[Any]:
    """The records of an offline run: a header of 7 bytes, then LevelDB's log format, whose entries are protobuf messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    records, entry, at, block = [], b"", 7, 32768
    while at + 7 <= len(data):
        if block - at % block < 7:  # too little for a header
            at += block - at % block
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        entry += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole entry, or the last part of one
            records.append(Record.FromString(entry))
            entry = b""
    return records


def _ssim(training: Training) -> dict[int, float]:
    return {line["step"]: line["ssim"] for line in training.validations()}


@pytest.mark.parametrize("tracked", ["tensorboard"], indirect=True)
def test_tensorboard(tracked: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    root, result, curve = tracked
    (file,) = root.glob(f"trackers/tensorboard/attention/seed-0-{result['run_id']}/events.*")
    events = EventAccumulator(str(file))
    events.Reload()
    read = {one.step: one.value for one in events.Scalars("validation/ssim")}
    assert read == pytest.approx(curve, rel=1e-6)
    assert [one.step for one in events.Scalars("train/loss")] == [10, 20]
    assert [(one.step, one.value) for one in events.Scalars("test/ssim")] == [
        (20, pytest.approx(result["metrics"]["ssim"], rel=1e-6))
    ]
    assert events.Images("test sequence 0")[0].encoded_image_string.startswith(b"\x89PNG")
    assert f"harness show {result['run_id']}".encode() in events.Tensors("run/text_summary")[0].tensor_proto.string_val[0]


@pytest.mark.parametrize("tracked", ["mlflow"], indirect=True)
@pytest.mark.filterwarnings("default")
def test_mlflow(tracked: Any) -> None:
    from mlflow.tracking import MlflowClient

    root, result, curve = tracked
    client = MlflowClient(f"sqlite:///{root / 'trackers' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("ablation-harness")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`harness.run_id` = '{result['run_id']}'")
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "attention seed 0"
    assert run.data.tags["arm"] == "attention"
    assert run.data.metrics["test/ssim"] == result["metrics"]["ssim"]
    assert run.data.params["training.steps"] == "20"
    history = client.get_metric_history(run.info.run_id, "validation/ssim")
    assert {one.step: one.value for one in history} == curve
    assert (root / "trackers" / "mlflow-artifacts" / run.info.run_id / "artifacts" / "test sequence 0.png").is_file()


@pytest.mark.parametrize("tracked", ["wandb"], indirect=True)
@pytest.mark.filterwarnings("default")
def test_wandb(tracked: Any) -> None:
    root, result, curve = tracked
    (file,) = root.glob(f"trackers/wandb/offline-run-*-{result['run_id']}/*.wandb")
    ends = time.monotonic() + 60  # a process of W&B's own writes the file
    records = wandb_records(file.read_bytes())
    while "exit" not in [one.WhichOneof("record_type") for one in records]:
        assert time.monotonic() < ends, "the file is not whole"
        time.sleep(0.1)
        records = wandb_records(file.read_bytes())
    (run,) = [one.run for one in records if one.WhichOneof("record_type") == "run"][:1]
    assert (run.run_id, run.run_group, run.display_name) == (result["run_id"], "attention", "attention seed 0")
    assert result["run_id"] in run.tags
    rows = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in one.history.item}
        for one in records
        if one.WhichOneof("record_type") == "history"
    ]
    assert {row["step"]: row["validation/ssim"] for row in rows if "validation/ssim" in row} == pytest.approx(curve)


@pytest.mark.parametrize("tracked", ["trackio"], indirect=True)
@pytest.mark.filterwarnings("default")
def test_trackio(tracked: Any) -> None:
    from trackio.sqlite_storage import SQLiteStorage

    _, result, curve = tracked
    rows = SQLiteStorage.get_logs("ablation-harness", f"attention seed 0 {result['run_id']}")
    assert {row["step"]: row["validation/ssim"] for row in rows if "validation/ssim" in row} == pytest.approx(curve)
    assert [row["test/ssim"] for row in rows if "test/ssim" in row] == [pytest.approx(result["metrics"]["ssim"])]
