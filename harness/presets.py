"""Named starting points for an experiment."""

from __future__ import annotations

from harness.data.moving_mnist import MovingMnist
from harness.errors import unknown
from harness.experiment import Experiment, Training
from harness.model.encoder_forecaster import ConvLSTMCell, EncoderForecasterConfig
from harness.training.optimizers import AdamW, Muon
from harness.training.schedules import OneCycle
from harness.training.terms import MeanSquaredError, StructuralDissimilarity

MSE, SSIM = MeanSquaredError(weight=0.7), StructuralDissimilarity(weight=0.3)

LATE_SSIM = StructuralDissimilarity(weight=0.3, start=0.2, ramp=0.4)
"""SSIM that enters once the squared error has drawn the network away from the blank frame."""

SMALL_DIGITS = MovingMnist(canvas=32, digit_size=14, validation_sequences=100, test_sequences=500)

PRESETS: dict[str, tuple[str, Experiment]] = {
    "paper": (
        "the article's model and recipe: 64x64 canvas, five layers, 8.7M parameters, 50 epochs; for a GPU",
        Experiment(
            data=MovingMnist(),
            architecture=EncoderForecasterConfig(),
            loss=(MSE, SSIM),
            training=Training(
                optimizer=AdamW(), schedule=OneCycle(), batch_size=64, epochs=50, validate_every=250, patience=10
            ),
        ),
    ),
    "cpu": (
        "32x32 canvas, 14-pixel digits, three layers; minutes on two cores",
        Experiment(
            data=SMALL_DIGITS,
            architecture=EncoderForecasterConfig(widths=(32, 64), kernels=(3, 3), patch=4),
            loss=(MSE, LATE_SSIM),
            training=Training(
                optimizer=Muon(),
                schedule=OneCycle(pct_start=0.15),
                batch_size=16,
                steps=1800,
                validate_every=200,
            ),
        ),
    ),
    "evening": (
        "as cpu, with finer features and more training: half an hour on two cores, for digits that stay recognisable",
        Experiment(
            data=SMALL_DIGITS,
            architecture=EncoderForecasterConfig(widths=(32, 64, 64), kernels=(3, 3, 3), patch=2),
            loss=(MeanSquaredError(weight=0.5), StructuralDissimilarity(weight=0.5, start=0.2, ramp=0.4)),
            training=Training(
                optimizer=Muon(momentum=0.9),
                schedule=OneCycle(pct_start=0.15),
                batch_size=16,
                steps=6000,
                validate_every=250,
            ),
        ),
    ),
    "tiny": (
        "16x16 canvas, 7-pixel digits, a few steps; seconds, to try the machinery: its figures mean nothing",
        Experiment(
            data=MovingMnist(
                canvas=16,
                digit_size=7,
                input_frames=3,
                horizon=3,
                epoch_sequences=64,
                validation_sequences=4,
                test_sequences=8,
            ),
            architecture=EncoderForecasterConfig(widths=(4, 8), kernels=(3, 3), patch=2, cell=ConvLSTMCell(forget_bias=1.0)),
            loss=(MSE, SSIM),
            training=Training(
                optimizer=AdamW(), schedule=OneCycle(), batch_size=4, steps=6, precision="float32", validate_every=3
            ),
        ),
    ),
}


def preset(name: str) -> Experiment:
    """The experiment of that name. Raises RequestError for an unknown one."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name][1]
