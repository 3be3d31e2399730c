"""Data as Parquet, where pyarrow is installed."""

from __future__ import annotations

from harness.store.frames import available, parquet
from reports.exports.text import clean
from reports.page import Data

__all__ = ["available", "data_to_parquet"]


def data_to_parquet(data: Data) -> bytes:
    """The data as one Parquet file, a type for each column."""
    import pandas as pd

    rows = [[clean(cell) if isinstance(cell, str) else cell for cell in row] for row in data.rows]
    return parquet(pd.DataFrame(rows, columns=list(data.columns)))
