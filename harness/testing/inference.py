"""The suites of the slots that decide how a prediction is made: views of the input, and what takes the network's place."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from harness.evaluation.predict import predict
from harness.evaluation.predictors import Untrained
from harness.runs.cell import run_cell
from harness.store import Cell, Store
from harness.testing.components import ComponentContract
from harness.views import View


def _frames(height: int = 16, width: int = 16) -> Tensor:
    return torch.rand(2, 3, 1, height, width, generator=torch.Generator().manual_seed(7))


class ViewContract(ComponentContract):
    """What holds for every view of the input."""

    slot = "inference.views"
    component: ClassVar[View]

    def test_the_inverse_undoes_the_view(self) -> None:
        """There and back, frames of several channels are what they were; a view that swaps axes says so."""
        for size in ((16, 16), (12, 20)):
            frames = _frames(*size).repeat(1, 1, 2, 1, 1)
            shown = self.component.forward(frames.clone())
            torch.testing.assert_close(self.component.inverse(shown), frames)
            assert (tuple(shown.shape[-2:]) == size[::-1] != size) == (self.component.swaps_axes and size[0] != size[1])

    def test_sequences_and_frames_do_not_mix(self) -> None:
        """A sequence, and a frame of it, is shown as it would be by itself."""
        frames = _frames()
        shown = self.component.forward(frames.clone())
        torch.testing.assert_close(self.component.forward(frames[1:].clone()), shown[1:])
        torch.testing.assert_close(self.component.forward(frames[:, 2:].clone()), shown[:, 2:])

    def test_frames_that_stand_still_are_predicted_as_they_are(self) -> None:
        """Averaged with the plain prediction, a network that repeats the last frame still repeats it."""
        found = predict(
            lambda inputs, horizon: inputs[:, -1:].expand(-1, horizon, -1, -1, -1), _frames(), 2, (self.component,)
        )
        torch.testing.assert_close(found, _frames()[:, -1:].expand(-1, 2, -1, -1, -1))


class PredictorContract(ComponentContract):
    """What holds for everything that predicts in the network's place."""

    slot = "inference.predictor"
    component: ClassVar[Untrained]

    def test_predicts_every_horizon_from_frames_of_any_intensity(self) -> None:
        """Finite floats (B, horizon, C, H, W), in [0, 1] where the inputs are."""
        predictor = self.component.build(self._source.shape)
        for horizon in (1, 3, 7):
            for frames in (_frames(), torch.zeros_like(_frames()), torch.ones_like(_frames())):
                found = predictor(frames.clone(), horizon)
                assert found.shape == (2, horizon, 1, 16, 16)
                assert found.is_floating_point()
                assert found.isfinite().all()
                assert -1e-3 <= float(found.min()) <= float(found.max()) <= 1 + 1e-3

    def test_leaves_its_input_alone_and_sequences_do_not_mix(self) -> None:
        """A sequence is predicted as it would be by itself."""
        predictor, frames = self.component.build(self._source.shape), _frames()
        torch.manual_seed(0)
        whole = predictor(frames, 3)
        assert torch.equal(frames, _frames())
        torch.manual_seed(0)
        torch.testing.assert_close(predictor(frames[:1].clone(), 3), whole[:1])

    def test_a_training_that_was_killed_resumes_bit_identically(self, tmp_path: Path) -> None:
        """There is none: its run stores no training, answers from the store, and is told from the network's run."""
        store = Store(tmp_path)
        cell = Cell("contract", "tiny", self.experiment, {"train": "a", "evaluation": "b"})
        network = Cell("base", "tiny", self.experiment.replace({"inference.predictor": None}), cell.identity)
        first = run_cell(cell, store, self._source)
        again = run_cell(cell, store, self._source)
        assert not (tmp_path / "trainings").exists()
        assert (first.cached, again.cached) == (False, True)
        assert again.result["metrics"] == first.result["metrics"]
        assert len({cell.run_id, network.run_id}) == len({cell.training_key, network.training_key}) == 2
