"""What every reported number means: the metrics by name, and what a record says of them.

"SSIM" alone names no number: a table therefore names its convention, and a record carries `CONVENTIONS`. This module does
not import torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import RequestError, unknown
from harness.evaluation.metrics import BUILT_IN, Metric
from harness.evaluation.metrics.errors import PSNR_CAP
from harness.evaluation.metrics.in_unit import IN_UNIT
from harness.evaluation.metrics.ssim import SMALLEST_CANVAS
from harness.tree import identity_of

__all__ = [
    "CONVENTIONS",
    "HEADLINE",
    "METRICS",
    "PSNR_CAP",
    "SMALLEST_CANVAS",
    "check_scaling",
    "describe_metrics",
    "frames_above_blank",
    "metric_named",
    "outdated_metrics",
]

HEADLINE = "ssim"
"""The metric that heads every table, and selects checkpoints unless `training.select` names another."""

METRICS: dict[str, Metric] = {metric.name: metric for metric in BUILT_IN}

CONVENTIONS: dict[str, str] = {
    "version": "1",
    "headline": HEADLINE,
    "values": "predictions clamped to [0, 1], float32 arithmetic; mean over frames and sequences in float64",
    **{name: metric.convention for name, metric in METRICS.items()},
}
"""What goes into a record beside its numbers. `version` is raised whenever a metric's value would change."""


def metric_named(name: str, more: Sequence[Metric] = ()) -> Metric:
    """The metric of that name, built in, in the data's unit, or one of `more`. Raises RequestError for an unknown one."""
    known = METRICS | {metric.name: metric for metric in (*IN_UNIT, *more)}
    if name not in known:
        raise RequestError(f"{unknown('metric', name, known)}; choose others with metrics, such as --set metrics=csi")
    return known[name]


def check_scaling(metrics: Iterable[Metric], data: object) -> None:
    """Raises RequestError for a metric in the data's unit, where the data component has no scaling."""
    if getattr(data, "scaling", None) is None:
        for one in metrics:
            one.on(None)


def describe_metrics(metrics: Iterable[Metric]) -> dict[str, dict[str, Any]]:
    """What a record says of each metric, by name: its identity, and what a table needs where its plugin is not installed."""
    return {
        metric.name: {
            "identity": identity_of(metric),
            "title": metric.title,
            "higher_is_better": metric.higher_is_better,
            "lowest": metric.lowest,
            "highest": metric.highest,
            "unit": metric.unit,
            "convention": metric.convention,
        }
        for metric in metrics
    }


def outdated_metrics(result: Mapping[str, Any], more: Iterable[Metric]) -> list[str]:
    """Names of the metrics, built in and `more`, that a result lacks or has by other code or with other settings.

    A record from before metrics had revisions says nothing of them: it has the built-in ones at revision 1.
    """
    recorded = {name: {"identity": {"name": name}} for name in result["metrics"]} | result.get("measured", {})
    return [
        metric.name for metric in (*BUILT_IN, *more) if recorded.get(metric.name, {}).get("identity") != identity_of(metric)
    ]


def frames_above_blank(result: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Up to which predicted frame, from the first, every metric of a result is better than the blank frame's (0: not even there),
    and which metrics are not at the frame after it.

    SSIM alone does not show it: a blank frame's is high where most of the canvas is black.
    """
    own, blank, described = result["metrics_per_frame"], result["baselines_per_frame"]["blank"], result.get("measured", {})

    def better(name: str, frame: int) -> bool:
        higher = METRICS[name].higher_is_better if name in METRICS else described[name]["higher_is_better"]
        value, than = own[name][frame], blank[name][frame]
        return value is not None and than is not None and bool(value > than if higher else value < than)

    horizon = len(own[HEADLINE])
    behind = ((frame, [name for name in own if not better(name, frame)]) for frame in range(horizon))
    return next((found for found in behind if found[1]), (horizon, []))
