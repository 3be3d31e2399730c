"""The suite of metrics."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from harness.evaluation.metrics.metric import Metric
from harness.testing.components import noise


class MetricContract:
    """What holds for every metric: `counts(prediction, target) -> (B, T, K)` and `finish(sums) -> number`.

    Subclass it in a test file and set `component`.
    """

    slot: ClassVar[str] = "metrics"
    component: ClassVar[Any]
    """The metric."""
    side: ClassVar[int] = 16
    """Height and width of the frames it is tried on, pixels."""

    def test_says_what_it_is(self) -> None:
        """A name, a heading, a range, and in one line exactly what is computed."""
        metric = self.component
        assert metric.name
        assert metric.title
        assert metric.convention.strip()
        assert "\n" not in metric.convention
        assert metric.revision >= 1
        assert isinstance(metric, Metric)
        assert metric.highest is None or metric.lowest < metric.highest

    def test_counts_every_frame_by_itself(self) -> None:
        """float64, the same alone and in company, and leaves the frames alone."""
        prediction, target = self._pair()
        before = prediction.clone()
        found = self._counts(prediction, target)
        assert found.dtype == torch.float64
        assert tuple(found.shape[:2]) == (2, 3)
        assert found.ndim == 3
        alone = self._counts(prediction[1:, 2:], target[1:, 2:])
        torch.testing.assert_close(alone[0, 0], found[1, 2], rtol=1e-4, atol=1e-6)
        assert torch.equal(prediction, before)

    def test_is_in_its_range_and_better_for_the_truth(self) -> None:
        """Equal frames are no worse than others."""
        prediction, target = self._pair()
        found, best = self._finished(prediction, target), self._finished(target, target)
        for value in (found, best):
            assert math.isfinite(value)
            assert value >= self.component.lowest - 1e-6
            assert self.component.highest is None or value <= self.component.highest + 1e-6
        assert best >= found if self.component.higher_is_better else best <= found

    def test_a_frame_that_is_not_finite_is_not_a_number(self) -> None:
        """It must not become a plausible value."""
        prediction, target = self._pair()
        prediction[0, 1, 0, 3, 3] = math.nan
        found = self._counts(prediction, target)
        assert math.isnan(self.component.finish(found[0, 1].tolist()))
        assert math.isfinite(self.component.finish(found[1, 1].tolist()))

    def _counts(self, prediction: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = self.component.counts(prediction, target)
        return found

    def _finished(self, prediction: Tensor, target: Tensor) -> float:
        return float(self.component.finish(self._counts(prediction, target).sum((0, 1)).tolist()))

    def _pair(self) -> tuple[Tensor, Tensor]:
        shape = (2, 3, 1, self.side, self.side)
        return noise(*shape).sigmoid(), noise(*shape, seed=1).sigmoid()
