"""The contract, by itself and together with a built-in variant; then what is special about this one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from harness_dilated import VARIANT, DilatedContext, network, slots

from harness.component import Shape
from harness.model.build import build_model
from harness.presets import preset
from harness.testing import (
    ArchitectureContract,
    AugmentationContract,
    AverageContract,
    BottleneckContract,
    CellContract,
    CurriculumContract,
    DataContract,
    FeedingContract,
    HeadContract,
    LossContract,
    MetricContract,
    OptimizerContract,
    PredictorContract,
    ScalingContract,
    ScheduleContract,
    SkipContract,
    StartContract,
    VariantContract,
    ViewContract,
)

SHAPE = Shape(channels=1, height=16, width=16, input_frames=3, horizon=3)


class TestDilated(VariantContract):
    variant = "dilated"


class TestDilatedWithResidual(VariantContract):
    variant = "dilated+residual"


class TestNetwork(ArchitectureContract):
    component = network.Motion(width=4)


class TestContrast(AugmentationContract):
    component = slots.Contrast()


class TestCell(CellContract):
    component = slots.ForgetMore()


class TestBottleneck(BottleneckContract):
    component = DilatedContext()


class TestHead(HeadContract):
    component = slots.MeanFrameHead()


class TestSkip(SkipContract):
    component = slots.Scaled()


class TestTerm(LossContract):
    component = slots.Charbonnier()


class TestRMSProp(OptimizerContract):
    component = slots.RMSProp()


class TestSchedule(ScheduleContract):
    component = slots.SquareRoot()


class TestCurriculum(CurriculumContract):
    component = slots.HalfThenAll()


class TestData(DataContract):
    component = slots.ThreeDigits(
        canvas=16, digit_size=7, input_frames=3, horizon=3, epoch_sequences=64, validation_sequences=4, test_sequences=5
    )


def _file() -> Path:
    """A small file of frames."""
    path = Path(tempfile.mkdtemp()) / "frames.npy"
    np.save(path, np.random.default_rng(0).random((12, 8, 16, 16), np.float32))
    return path


class TestScaling(ScalingContract):
    component = slots.Root()
    settings = {"data": f"frames(path={_file()}, layout=NTHW, input_frames=3, horizon=3)"}  # noqa: RUF012


class TestAverage(AverageContract):
    component = slots.SlowAverage(decay=0.5)


class TestFeeding(FeedingContract):
    component = slots.AlwaysTruth()
    settings = {"architecture": "predrnn(layers=2, hidden=4, kernel=3, patch=2)"}  # noqa: RUF012


class TestView(ViewContract):
    component = slots.Shift(pixels=2)


class TestPredictor(PredictorContract):
    component = slots.MeanOfInputs()


def _weights() -> Path:
    """A file of weights of preset tiny's network."""
    path = Path(tempfile.mkdtemp()) / "weights.pt"
    torch.save(build_model(preset("tiny").architecture, SHAPE, seed=9).state_dict(), path)
    return path


class TestStart(StartContract):
    component = slots.ScaledStart(path=_weights())


class TestMetric(MetricContract):
    component = slots.WorstPixel()


def test_starts_as_the_base() -> None:
    base = preset("tiny")
    ours = base.replace(VARIANT.changes)
    frames = torch.rand(2, 3, 1, 16, 16)
    with torch.no_grad():
        expected = build_model(base.architecture, SHAPE, seed=3)(frames, 3)
        assert torch.equal(build_model(ours.architecture, SHAPE, seed=3)(frames, 3), expected)
