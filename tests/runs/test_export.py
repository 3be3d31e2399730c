"""Exported networks answer like their run, and say what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from commands import Command
from radar import runs, trained
from torch import Tensor, nn

from harness.errors import RequestError
from harness.evaluation.predict import predict
from harness.runs.export import Whole, card_of, export
from harness.views import HorizontalFlip, Identity


@pytest.mark.parametrize(("kind", "ending"), [("onnx", "onnx"), ("torch-export", "pt2"), ("safetensors", "safetensors")])
def test_an_exported_network_answers_like_the_run(
    made: Path, kind: str, ending: str, harness: Command, tmp_path: Path
) -> None:
    first, _ = runs(made)
    out = tmp_path / f"m.{ending}"
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    answer = harness("export", first, "--store", made / "s", "--to", kind, "--out", out)
    assert answer.code == 0, answer.err
    one = trained(made, first)
    frames = torch.rand(3, 3, 1, 20, 24)
    expected = predict(one.model, frames, 3)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(None, {"frames": frames.numpy()})[0])
    elif kind == "torch-export":
        found = torch.export.load(out).module()(frames).detach()
    else:
        from safetensors.torch import load_file

        fresh = trained(made, runs(made)[1]).model
        fresh.load_state_dict(load_file(out))
        found = predict(fresh, frames, 3)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    card = (tmp_path / f"m.{ending}.md").read_text()
    assert "**Scaling** min-max" in card
    assert "mm/h" in card
    about = json.loads(card.split("```json\n")[1].split("\n```")[0])
    assert about["input"] == ["batch", 3, 1, 20, 24]


def test_a_wrong_ending_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"ends in \.pt2"):
        export(trained(made, runs(made)[0]), {}, {}, "torch-export", tmp_path / "m.onnx")


def last_brighter(frames: Tensor, horizon: int) -> Tensor:
    """The last frame, brighter to the right."""
    ramp = torch.linspace(0, 0.5, frames.shape[-1])
    return frames[:, -1:].expand(-1, horizon, -1, -1, -1) + ramp


class Network(nn.Module):
    def forward(self, frames: Tensor, horizon: int) -> Tensor:
        return last_brighter(frames, horizon)


def test_what_is_exported_has_its_horizon_and_the_mean_over_its_views() -> None:
    frames = torch.rand(2, 3, 1, 4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Whole(Network(), 2)(frames), last_brighter(frames, 2))
    averaged = Whole(Network(), 2, (Identity(), HorizontalFlip()))(frames)
    torch.testing.assert_close(averaged, frames[:, -1:].expand(-1, 2, -1, -1, -1) + 0.25)


def test_each_format_of_a_run_has_a_card_of_its_own(tmp_path: Path) -> None:
    assert card_of(tmp_path / "a.onnx") == tmp_path / "a.onnx.md"
    assert card_of(tmp_path / "a.pt2") != card_of(tmp_path / "a.onnx")


def test_an_unknown_format_is_answered_with_those_that_there_are(made: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"unknown format 'onx'; did you mean 'onnx'\?"):
        export(trained(made, runs(made)[0]), {}, {}, "onx", tmp_path / "m.onnx")
