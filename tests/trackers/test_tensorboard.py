"""TensorBoard finds again what was written: curves with steps, final figures, and the way to the record."""

from __future__ import annotations

from typing import Any

import pytest


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
