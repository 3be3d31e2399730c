"""The residual variant starts as the base, and takes odd kernels."""

from __future__ import annotations

import pytest
import torch
from networks import TINY, experiment, frames
from torch.nn import functional

from harness.errors import RequestError
from harness.model.build import build_model
from variants.residual import ProjectedSkip


def test_residual_is_the_base_until_its_projections_learn() -> None:
    base, residual = (build_model(experiment(name).architecture, TINY, seed=4) for name in ("base", "residual"))
    own = [parameter for name, parameter in residual.named_parameters() if name not in dict(base.named_parameters())]
    assert own
    with torch.no_grad():
        assert torch.equal(residual(frames(), 3), base(frames(), 3))
        for parameter in own:
            parameter.normal_()
        assert not torch.equal(residual(frames(), 3), base(frames(), 3))


def test_the_projection_is_a_convolution_that_keeps_the_size() -> None:
    projection = ProjectedSkip(kernel=5).build(3, 7)
    values = torch.randn(2, 3, 6, 8)
    with torch.no_grad():
        assert not projection(values).any()
        (weight,) = (parameter.normal_() for parameter in projection.parameters() if parameter.dim() == 4)
        biases = [parameter for parameter in projection.parameters() if parameter.dim() == 1]
        expected = functional.conv2d(values, weight, biases[0] if biases else None, padding=2)
        torch.testing.assert_close(projection(values), expected)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(RequestError, match="odd"):
        ProjectedSkip(kernel=4)
