"""Files of results as one data frame with a row for each run: CSV, Parquet, JSON lines, and the shapes that tools export.

Cells of a CSV stay text until `columns` knows what they are: an arm may be called 'None', and '0,91' is no number.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import RequestError
from reports.analysis.words import shorten

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 512 * 2**20
METRIC, VALUE = "metric", "value"
"""The columns of a table with a row for each run and metric; `VALUE` is also what a wide table of seeds alone is about."""
PER_METRIC = ("unit", "convention", "higher_is_better")
"""What such a table says of a metric, not of a run."""
_WORDS = "seed|run|rep|replicate|trial|fold"
_SEED = re.compile(rf"(?:{_WORDS}|s)?[ _.=:#-]*(\d+)", re.IGNORECASE)
_METRIC_SEED = re.compile(rf"(.+?)[ _./-]+(?:{_WORDS})[ _.=:#-]*(\d+)", re.IGNORECASE)
_CHART = re.compile(r"(.+) - (.+?)")


def read(given: Path | pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The runs of a file or data frame, a row each, and what its shape was understood to be.

    Understood are a row for each run; a row for each run and metric (columns 'metric' and 'value'); a column for each seed
    ('0', 'seed 0', 'ssim_seed0'); and a chart of W&B (a column for each run and metric, of which the last row counts).

    Raises RequestError for a file that is not there, is no table, is empty, or holds no single runs.
    """
    path, frame = name_of(given), _read(given) if isinstance(given, Path) else given.reset_index(drop=True)
    frame.columns = [str(name).strip() for name in frame.columns]
    frame = frame.loc[:, [bool(name) for name in frame.columns]]  # an index without a name
    if not len(frame.columns) or not len(frame):
        raise RequestError(f"{path} has no rows; a table of results has a header and a row for each run")
    names = list(frame.columns)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RequestError(f"{path} has two columns named {', '.join(map(repr, twice[:5]))}; rename one of them")
    frame.index = [f"row {number}" for number in range(2, len(frame) + 2)]
    if any(name.endswith("__MIN") for name in names):
        return _chart(path, frame)
    if METRIC in names and VALUE in names:
        return _long(path, frame)
    return _wide(frame)


def name_of(given: Path | pd.DataFrame) -> str:
    """What messages call it."""
    return str(given) if isinstance(given, Path) else "the data frame"


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    kind = path.suffix.lower()
    try:
        if not path.is_file():
            raise RequestError(f"{path} is no file; name a table of results: CSV, Parquet or JSON lines")
        if path.stat().st_size > MAX_BYTES:
            raise RequestError(f"{path} is larger than {MAX_BYTES >> 20} MiB; export one row for each run, not every step")
        if kind in (".parquet", ".pq"):
            return pd.read_parquet(path).reset_index(drop=True)
        text = path.read_text(encoding="utf-8-sig")
    except ImportError as error:
        raise RequestError(
            f"{path}: reading Parquet needs pyarrow: pip install 'ablation-harness[parquet]', or export CSV"
        ) from error
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as CSV in UTF-8, or as .parquet"
        ) from error
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise RequestError(f"cannot read {path}: {shorten(str(getattr(error, 'strerror', None) or error), 200)}") from error
    return _json(path, text) if kind in (".jsonl", ".ndjson", ".json") else _csv(path, text)


def _csv(path: Path, text: str) -> pd.DataFrame:
    import pandas as pd

    separator = max(",;\t", key=text.partition("\n")[0].count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise RequestError(f"{path} is not CSV: {error}") from None
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return pd.DataFrame()
    header, *body = rows
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise RequestError(f"{path}: row {number} has {len(row)} cells where the header has {len(header)}")
    return pd.DataFrame(body, columns=header, dtype=object)


def _json(path: Path, text: str) -> pd.DataFrame:
    import pandas as pd

    try:
        lines = text.splitlines()
        records = json.loads(text) if text.lstrip()[:1] == "[" else [json.loads(line) for line in lines if line.strip()]
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path} is not JSON lines, one object for each run: {error}") from None
    if not all(isinstance(one, dict) for one in records):
        raise RequestError(f'{path} must hold one object for each run, such as {{"arm": "base", "seed": 0, "ssim": 0.91}}')
    return pd.json_normalize(records)


def _chart(path: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A chart of W&B: 'RUN - METRIC' with '__MIN' and '__MAX' beside it, by step. A run's last value counts."""
    import pandas as pd

    names = [name for name in frame.columns if not name.endswith(("__MIN", "__MAX"))]
    found: dict[str, dict[str, object]] = {}
    for name in names:
        match = _CHART.fullmatch(name)
        if match is None or match[2] == "_step":
            continue
        if match[1].startswith("Group: "):
            raise RequestError(
                f"{path} is a chart of grouped runs: it holds means over a group ({shorten(match[1])}), and no single run to "
                "judge a spread by; export the table of runs (Runs, then Export to CSV), which has a row for each run"
            )
        column = frame[name]
        filled = column[column.notna() & (column.astype(str).str.strip() != "")]
        found.setdefault(match[1], {"Name": match[1]})[match[2]] = filled.iloc[-1] if len(filled) else None
    if not found:
        raise RequestError(f"{path} has columns '...__MIN' as a W&B chart, but none called 'RUN - METRIC'")
    return pd.DataFrame(list(found.values()), index=[f"run {name}" for name in found]), [
        f"a W&B chart of {len(found)} runs; the last value of each counts"
    ]


def _long(path: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A row for each run and metric. Which way a metric is better is kept as the attribute `directions`."""
    runs = [name for name in frame.columns if name not in (METRIC, VALUE, *PER_METRIC)]
    metrics = frame[METRIC].astype(str).str.strip()
    if clash := sorted(set(metrics) & set(runs)):
        raise RequestError(f"{path}: {clash[0]!r} is a column and, in column {METRIC!r}, a metric; rename one of them")
    keys = frame[runs].astype(str).agg("\x1f".join, axis=1) if runs else metrics * 0
    twice = frame[METRIC].groupby([keys, metrics]).transform("size") > 1
    if twice.any():
        first = frame[twice].iloc[0]
        raise RequestError(
            f"{path} has {int(twice.sum())} rows that repeat another row's run and metric; the first is "
            f"{frame.index[twice.to_numpy()][0]}: {', '.join(f'{name}={first[name]}' for name in (*runs, METRIC)[:6])}"
        )
    values = frame[VALUE].groupby([keys, metrics], sort=False).first().unstack(sort=False)
    wide = frame[runs].set_axis(keys).loc[~keys.duplicated().to_numpy()].join(values)
    wide.index = frame.index[~keys.duplicated().to_numpy()]
    if "higher_is_better" in frame:
        texts = frame["higher_is_better"].astype(str).str.lower().str.strip()
        wide.attrs["directions"] = {
            name: text in ("true", "1")
            for name, text in zip(metrics, texts, strict=True)
            if text in ("true", "false", "1", "0")
        }
    return wide, [f"a row for each run and metric ({', '.join(map(shorten, sorted(set(metrics))[:8]))})"]


def _wide(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A column for each seed, of one metric or several; any other table stays as it is."""
    import pandas as pd

    found: dict[str, tuple[str, int]] = {}
    for name in frame.columns:
        if match := _METRIC_SEED.fullmatch(name):
            found[name] = match[1], int(match[2])
        elif match := _SEED.fullmatch(name):
            found[name] = VALUE, int(match[1])
    seeds = sorted({seed for _, seed in found.values()})
    if len(seeds) < 2 or any(name.lower().endswith("seed") for name in frame.columns):
        return frame, []
    rest = [name for name in frame.columns if name not in found]
    parts = []
    for seed in seeds:
        part = frame[rest].copy()
        part["seed"] = seed
        for name, (metric, of) in found.items():
            if of == seed:
                part[metric] = frame[name]
        part.index = [f"{row}, seed {seed}" for row in frame.index]
        parts.append(part)
    return pd.concat(parts), [f"a column for each of {len(seeds)} seeds"]
