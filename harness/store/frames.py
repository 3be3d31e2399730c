"""Results as tidy frames: a row for each run, for each metric, for each predicted frame, for each validation."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from harness.errors import RequestError
from harness.notation import call_text, flatten

if TYPE_CHECKING:
    import pandas as pd

Record = Mapping[str, Any]
"""A result with its `experiment` and, by `curve`, what its training's validations measured."""
WHAT = ("runs", "metrics", "by-frame", "validations", "comparisons")
_ID = ("run_id", "variant", "preset", "seed")
_PARTS = {
    "training": ("steps", "best_step", "seconds", "sequences_per_second", "skipped_steps", "validation_ssim"),
    "inference": ("frames_per_second",),
}


def runs(records: Iterable[Record]) -> pd.DataFrame:
    """A row for each run: run_id, variant, preset, seed, test_digest, device, parameters, flops, steps, seconds, ..., a column
    for each metric, and one, by its path, for each setting that is not the same in all of them.
    """
    import pandas as pd

    records = list(records)
    settings = [flatten(one["experiment"]) for one in records]
    differ = {}
    for path in dict.fromkeys(path for one in settings for path in one):
        values = [one.get(path) for one in settings]
        if path != "training.seed" and any(type(one) is not type(values[0]) or one != values[0] for one in values):
            differ[path] = [_plain(one) for one in values]
    rows = [
        {name: one.get(name) for name in (*_ID, "test_digest", "device")}
        | {"parameters": one.get("params"), "flops": one.get("flops_per_sequence")}
        | {name: (one.get(part) or {}).get(name) for part, wanted in _PARTS.items() for name in wanted}
        | dict(one["metrics"])
        for one in records
    ]
    return _uniform(pd.DataFrame(rows).join(pd.DataFrame(differ)), differ)


def metrics(records: Iterable[Record]) -> pd.DataFrame:
    """A row for each run and metric: run_id, variant, preset, seed, metric, value, parameters, seconds, steps."""
    import pandas as pd

    rows = [
        (*(one[name] for name in _ID), metric, value, one["params"], one["training"]["seconds"], one["training"]["steps"])
        for one in records
        for metric, value in one["metrics"].items()
    ]
    return pd.DataFrame(rows, columns=[*_ID, "metric", "value", "parameters", "seconds", "steps"]).astype({"value": float})


def by_frame(records: Iterable[Record]) -> pd.DataFrame:
    """A row for each run, metric and predicted frame, which counts from 1: run_id, variant, preset, seed, metric, frame, value.

    The baselines of a run stand in rows of their own, with `variant` 'blank frame' and 'repeat last frame'.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {name: [] for name in (*_ID, "metric", "frame", "value")}
    for one in records:
        tables = {one["variant"]: one.get("metrics_per_frame") or {}}
        baselines = one.get("baselines_per_frame") or {}
        tables |= {words: baselines.get(name) or {} for name, words in _BASELINES.items()}
        for variant, table in tables.items():
            for metric, values in table.items():
                count = len(values)
                for name, cell in zip(
                    (*_ID, "metric"), (one["run_id"], variant, one["preset"], one["seed"], metric), strict=True
                ):
                    columns[name] += [cell] * count
                columns["frame"] += range(1, count + 1)
                columns["value"] += values
    return pd.DataFrame(columns).astype({"value": float})


_BASELINES = {"blank": "blank frame", "repeat_last": "repeat last frame"}


def validations(curves: Iterable[tuple[Record, Iterable[Mapping[str, Any]]]]) -> pd.DataFrame:
    """A row for each run, validation and metric: run_id, variant, preset, seed, step, seconds (of training), metric, value."""
    import pandas as pd

    rows = [
        (*(one[name] for name in _ID), line["step"], line["seconds"], metric, value)
        for one, curve in curves
        for line in curve
        for metric, value in line.items()
        if metric not in ("step", "seconds")
    ]
    return pd.DataFrame(rows, columns=[*_ID, "step", "seconds", "metric", "value"]).astype(
        {"value": float, "seconds": float}
    )


OF_RECORDS: dict[str, Callable[[Iterable[Record]], pd.DataFrame]] = {"runs": runs, "metrics": metrics, "by-frame": by_frame}


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float | str) else call_text(value)


def _uniform(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """A column of settings with numbers and texts becomes texts: a file's column has one type."""
    for name in columns:
        kinds = {type(value) for value in frame[name] if value is not None and value == value}
        if kinds - {int, float} and len(kinds) > 1:
            frame[name] = [None if value is None else call_text(value) for value in frame[name]]
    return frame


def available() -> bool:
    """Whether pyarrow is installed (the extra 'parquet')."""
    return find_spec("pyarrow") is not None


def parquet(frame: pd.DataFrame) -> bytes:
    """The frame as one Parquet file, a type for each column. Raises RequestError without pyarrow."""
    if not available():
        raise RequestError("Parquet needs pyarrow: pip install 'ablation-harness[parquet]', or choose --format csv")
    file = io.BytesIO()
    frame.convert_dtypes(dtype_backend="pyarrow").to_parquet(file, index=False)
    return file.getvalue()
