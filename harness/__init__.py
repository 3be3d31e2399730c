"""An ablation benchmarking harness for spatiotemporal prediction: plans, seeds, intervals, and reports from raw records.

What the command line does, in the same words; see docs/library.md:

    import harness

    found = harness.ablate(variants=["attention"], seeds=3, preset="tiny", store="artifacts")
    found.frame()     # a row for each run and metric
    found.verdicts()  # each variant against base

Importing this module imports neither torch nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.version import REVISIONS as REVISIONS
from harness.version import __version__ as __version__

if TYPE_CHECKING:
    from harness.component import Component as Component
    from harness.component import Shape as Shape
    from harness.component import setting as setting
    from harness.component import slot_field as slot_field
    from harness.experiment import Experiment as Experiment
    from harness.hooks import Hook as Hook
    from harness.hooks import RunInfo as RunInfo
    from harness.library import ablate as ablate
    from harness.library import compare as compare
    from harness.library import export as export
    from harness.library import judge as judge
    from harness.library import open_store as open_store
    from harness.library import report as report
    from harness.library import run as run
    from harness.library import score as score
    from harness.library import study as study
    from harness.model.adapter import adapted as adapted
    from harness.results import Result as Result
    from harness.results import Results as Results
    from harness.results import Tuned as Tuned
    from harness.variant import Variant as Variant

_PLACES = {
    **dict.fromkeys(("Component", "Shape", "setting", "slot_field"), "component"),
    **dict.fromkeys(("ablate", "compare", "export", "judge", "open_store", "report", "run", "score", "study"), "library"),
    **dict.fromkeys(("Result", "Results", "Tuned"), "results"),
    "Experiment": "experiment",
    "adapted": "model.adapter",
    **dict.fromkeys(("Hook", "RunInfo"), "hooks"),
    "Variant": "variant",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}; it has {', '.join(sorted(_PLACES))}")
    return getattr(import_module(f"harness.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
