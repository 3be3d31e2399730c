"""Experiments, a component with every kind of field, and a value that preset tiny does not have for every setting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.component import Component, is_slot, setting, slot_field
from harness.presets import preset
from harness.registry import Components
from harness.tree import walk

TINY = preset("tiny")
DATA = {"train": "moving-mnist:x", "evaluation": "moving-mnist:x"}

OTHER: dict[str, Any] = {
    "data.evaluation": "test.npy",
    "data.layout": "TNHW",
    "data.canvas": 20,
    "data.digit_size": 14,
    "data.digits": 3,
    "data.speed": 0.25,
    "data.input_frames": 4,
    "data.horizon": 5,
    "data.flip_horizontal": 0.25,
    "data.flip_vertical": 0.75,
    "data.epoch_sequences": 128,
    "data.validation_sequences": 5,
    "data.test_sequences": 9,
    "data.test_seed": 1,
    "architecture.widths": (8, 8),
    "architecture.kernels": (3, 5),
    "architecture.forecaster_kernel": 5,
    "architecture.patch": 4,
    "architecture.cell.forget_bias": -0.5,
    "architecture.gain": 2.5,
    "loss.mse.weight": 0.5,
    "loss.mse.start": 0.125,
    "loss.mse.ramp": 0.25,
    "loss.ssim.weight": 0.5,
    "loss.ssim.start": 0.25,
    "loss.ssim.ramp": 0.5,
    "training.seed": 7,
    "training.batch_size": 2,
    "training.steps": 8,
    "training.epochs": 1.5,
    "training.seconds": 2.5,
    "training.optimizer.lr": 2e-3,
    "training.schedule.pct_start": 0.5,
    "training.optimizer.weight_decay": 1e-3,
    "training.clip_norm": 0.0,
    "training.precision": "bfloat16",
    "training.validate_every": 2,
    "training.patience": 3,
    "training.max_skipped": 4,
    "training.data_order": 1,
    "training.select": "mse",
    "training.freeze": ("head.*",),
}
"""For every setting that text can give, a value that preset tiny does not have."""


@dataclass(frozen=True, kw_only=True)
class Inner(Component):
    """A component inside a component."""

    slot: ClassVar[str] = "architecture.skip.inner"
    name: ClassVar[str] = "inner"
    strength: float = setting(1.0, "how strong")


@dataclass(frozen=True, kw_only=True)
class Toy(Component):
    """A component with every kind of field."""

    slot: ClassVar[str] = "architecture.skip"
    name: ClassVar[str] = "toy"
    revision: ClassVar[int] = 2
    kernel: int = setting(3, "odd", at_least=1)
    sizes: tuple[tuple[int, ...], ...] = setting(((1, 2), (3,)), "lists in a list")
    inner: Any = slot_field(Inner(), "slot: something inside")
    more: tuple[Any, ...] = slot_field((Inner(strength=2.0),), "slots: others", takes="architecture.skip.inner", many=True)
    note: str | None = setting(None, "a word", neutral=None)
    file: Path | None = setting(None, "a file whose content counts", neutral=None)
    lively: bool = setting(False, "a switch", neutral=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise ValueError("even")

    def build(self, in_channels: int, out_channels: int) -> None:
        """Not built here."""


def known(*kinds: type[Component]) -> Components:
    found = Components(third_party=False)
    found.add(kinds)
    return found


FIND = known(Toy, Inner).find
SETTINGS = [path for path, f, *_ in walk(TINY) if "doc" in f.metadata and not is_slot(f)]
