"""Every built-in component holds the contract of its slot, which a third party's is held to."""

from __future__ import annotations

import atexit
import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from harness.component import Component, Shape
from harness.evaluation.metrics import BUILT_IN
from harness.evaluation.metrics.csi import CriticalSuccessIndex
from harness.evaluation.metrics.sharpness import Sharpness
from harness.model.build import build_model
from harness.presets import preset
from harness.registry import Components
from harness.testing import (
    ArchitectureContract,
    AugmentationContract,
    AverageContract,
    BottleneckContract,
    CellContract,
    ComponentContract,
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
    ViewContract,
)

SUITES: dict[str, type[ComponentContract]] = {
    suite.slot: suite
    for suite in (
        *(DataContract, AugmentationContract, ArchitectureContract, CellContract, SkipContract, BottleneckContract),
        *(HeadContract, LossContract, OptimizerContract, ScheduleContract, AverageContract, CurriculumContract),
        *(FeedingContract, StartContract, ScalingContract, ViewContract, PredictorContract),
    )
}
METRICS = (*BUILT_IN, CriticalSuccessIndex(), Sharpness())
FOLDER = Path(tempfile.mkdtemp(prefix="harness-contract-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
STACK = {"layers": 2, "hidden": 4, "kernel": 3, "patch": 2}
SHAPE = Shape(1, 16, 16, 3, 3)


def _frames() -> str:
    path = FOLDER / "frames.npy"
    if not path.exists():
        np.save(path, np.random.default_rng(0).integers(0, 256, (12, 8, 16, 16), np.uint8))
    return str(path)


def _weights(name: str, architecture: Component, rename: Any = lambda name: name) -> Path:
    path = FOLDER / name
    if not path.exists():
        state = build_model(architecture, SHAPE, seed=9).state_dict()
        save_file({rename(key): tensor.contiguous() for key, tensor in state.items()}, path)
    return path


def _state() -> Path:
    return _weights("last.safetensors", preset("tiny").architecture, lambda name: f"model.{name}")


def _openstl(name: str) -> str:
    """The name that OpenSTL has for a weight of our stack of ConvLSTM layers."""
    name = name.replace("head.", "conv_last.").replace("cells.", "cell_list.")
    return name.replace(".input.", ".conv_x.0.").replace(".state.", ".conv_h.0.")


def _stack() -> Component:
    from variants.convlstm_stack import ConvLSTMStack

    return ConvLSTMStack(**STACK)  # type: ignore[arg-type]


SMALL: dict[str, dict[str, Any]] = {
    "data.moving-mnist": {
        **{"canvas": 16, "digit_size": 7, "input_frames": 3, "horizon": 3},
        **{"epoch_sequences": 64, "validation_sequences": 4, "test_sequences": 5},
    },
    "data.frames": {"path": _frames(), "layout": "N T H W", "input_frames": 3, "horizon": 3},
    "data.scaling.min-max": {"low": (0.0,), "high": (255.0,)},
    "data.scaling.log": {"low": (0.0,), "high": (255.0,)},
    "architecture.encoder-forecaster": {"widths": (4, 8), "kernels": (3, 3), "patch": 2},
    "architecture.convlstm-stack": STACK,
    "architecture.phydnet": {},
    "architecture.predrnn": STACK,
    "architecture.predrnn-pp": STACK,
    "architecture.predrnn-v2": STACK,
    "training.start.file": {"path": _weights("base.safetensors", preset("tiny").architecture)},
    "training.start.extension": {"run": "0" * 16, "parent": "0" * 16, "path": _state()},
    "training.start.run": {"run": "0" * 16, "path": _weights("base.safetensors", preset("tiny").architecture)},
    "training.start.openstl": {"path": _weights("openstl.safetensors", _stack(), _openstl)},
}
"""Fields of components that are too large by default, or need some."""
NEEDS: dict[str, dict[str, object]] = {
    "data.scaling.min-max": {"data": f"frames(path={_frames()}, layout=NTHW, input_frames=3, horizon=3)"},
    "data.scaling.log": {"data": f"frames(path={_frames()}, layout=NTHW, input_frames=3, horizon=3)"},
    "training.feeding.scheduled-sampling": {"architecture": _stack()},
    "training.feeding.reverse-scheduled-sampling": {"architecture": _stack()},
    "training.start.openstl": {"architecture": _stack()},
}
BESIDE = {"loss.bce": {"loss.mse": 0.5}}
REGISTRY = Components(third_party=False)


def _of_variants() -> dict[str, dict[str, Any]]:
    """The tiny sizes of the variants' networks."""
    from variants import phydnet, simvp, tau

    found = {}
    for name, module in (("phydnet", phydnet), ("simvp", simvp), ("tau", tau)):
        tiny: Any = {**module.VARIANT.sizes["tiny"]}["architecture"]
        found[f"architecture.{name}"] = {f.name: getattr(tiny, f.name) for f in dataclasses.fields(tiny)}
    return found


SMALL |= _of_variants()


def _enrol(key: str) -> type[ComponentContract] | None:
    slot = key.rpartition(".")[0]
    if slot not in SUITES:
        return None
    made = REGISTRY.get(key)(**SMALL.get(key, {}))
    settings = {**NEEDS.get(key, {}), **BESIDE.get(key, {})}
    title = "".join(part.capitalize() for part in key.replace(".", "-").split("-"))
    return type(f"Test{title}", (SUITES[slot],), {"component": made, "settings": settings, "__module__": __name__})


ENROLLED = {key: suite for key in REGISTRY.names if (suite := _enrol(key)) is not None}
globals().update({suite.__name__: suite for suite in ENROLLED.values()})
globals().update(
    {
        f"TestMetric{metric.name.title()}": type(f"TestMetric{metric.name}", (MetricContract,), {"component": metric})
        for metric in METRICS
    }
)
for suite in (*SUITES.values(), MetricContract):
    del globals()[suite.__name__]


def test_every_built_in_component_is_enrolled() -> None:
    others = [name for name in REGISTRY.names if not name.startswith("metrics.")]
    assert set(ENROLLED) == set(others)


@pytest.mark.parametrize("key", sorted(ENROLLED))
def test_every_suite_tests_the_component_of_its_name(key: str) -> None:
    component = ENROLLED[key].component
    assert f"{component.slot}.{component.name}" == key


def test_a_training_with_all_kinds_of_state_resumes_bit_identically(tmp_path: Path) -> None:
    """muon, an average, scheduled sampling and noise at the same time."""

    class Everything(SUITES["training.optimizer"]):  # type: ignore[misc]
        component = REGISTRY.get("training.optimizer.muon")()
        settings = {  # noqa: RUF012
            "architecture": _stack(),
            "training.average": "ema",
            "training.feeding": "scheduled-sampling",
            "data.augment": "noise,flip",
        }
        __test__ = False

    Everything().test_a_training_that_was_killed_resumes_bit_identically(tmp_path)
