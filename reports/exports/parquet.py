"""Data as Parquet, where pyarrow is installed."""

from __future__ import annotations

import io
from importlib.util import find_spec

from reports.exports.text import clean
from reports.page import Data


def available() -> bool:
    """Whether pyarrow is installed (the extra 'parquet')."""
    return find_spec("pyarrow") is not None


def data_to_parquet(data: Data) -> bytes:
    """The data as one Parquet file, a type for each column."""
    import pandas as pd

    rows = [[clean(cell) if isinstance(cell, str) else cell for cell in row] for row in data.rows]
    file = io.BytesIO()
    pd.DataFrame(rows, columns=list(data.columns)).convert_dtypes(dtype_backend="pyarrow").to_parquet(file, index=False)
    return file.getvalue()
