"""The tests that every variant and every component must pass, for pytest; a third party's plugin runs the same ones.

    # test_mine.py, beside your plugin
    from harness.testing import LossContract, VariantContract

    class TestMine(VariantContract):
        variant = "mine"                       # its name, or a composition of it: "mine+residual"
        # plugin = Path("mine.py")             # only if it is a single file and not an installed package

    class TestMyTerm(LossContract):            # the suite of the component's slot
        component = MyTerm(weight=0.1)

`pytest test_mine.py` then says what is wrong, in a few seconds on a CPU; it needs pytest and harness, and a store is not
touched. Everything runs at preset `tiny`.
"""

from harness.testing.components import ComponentContract
from harness.testing.data import AugmentationContract, DataContract, ScalingContract
from harness.testing.inference import PredictorContract, ViewContract
from harness.testing.metrics import MetricContract
from harness.testing.networks import ArchitectureContract, BottleneckContract, CellContract, HeadContract, SkipContract
from harness.testing.training import (
    AverageContract,
    CurriculumContract,
    FeedingContract,
    LossContract,
    OptimizerContract,
    ScheduleContract,
    StartContract,
)
from harness.testing.variants import VariantContract

__all__ = [
    "ArchitectureContract",
    "AugmentationContract",
    "AverageContract",
    "BottleneckContract",
    "CellContract",
    "ComponentContract",
    "CurriculumContract",
    "DataContract",
    "FeedingContract",
    "HeadContract",
    "LossContract",
    "MetricContract",
    "OptimizerContract",
    "PredictorContract",
    "ScalingContract",
    "ScheduleContract",
    "SkipContract",
    "StartContract",
    "VariantContract",
    "ViewContract",
]
