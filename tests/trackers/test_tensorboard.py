"""TensorBoard finds again what was written: curves with steps, final figures, and the way to the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.hooks import RunInfo


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


def test_an_arm_s_name_is_a_folder_and_what_ended_a_run_is_a_text(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from trackers.tensorboard import TensorBoard

    hook = TensorBoard()
    arm = "base(data.path=/a/b)+tta"
    hook.start(RunInfo(run_id="r", training_key="t", arm=arm, seed=1, preset="tiny", settings={"x": 1}, store=tmp_path))
    hook.failure("RuntimeError: broke")
    (file,) = tmp_path.glob("trackers/tensorboard/*/seed-1-r/events.*")
    assert file.parts[-3] == "base(data.path=_a_b)+tta"
    events = EventAccumulator(str(file))
    events.Reload()
    assert events.Tensors("failure/text_summary")[0].tensor_proto.string_val == [b"RuntimeError: broke"]
