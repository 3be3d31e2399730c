"""Data as Parquet: read back by pandas, a type for each column."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from reports.exports.parquet import data_to_parquet
from reports.page import Data

pytest.importorskip("pyarrow")


def test_numbers_come_back_to_the_last_bit_and_texts_without_controls() -> None:
    rows = (("a\x00", 1, 0.1 + 0.2, True, None), ("b", 2, None, False, 1e-300))
    data = Data("d", ("arm", "seed", "value", "better", "p"), rows)
    read = pd.read_parquet(io.BytesIO(data_to_parquet(data)))
    assert list(read.columns) == list(data.columns)
    assert list(read["arm"]) == ["a\ufffd", "b"]
    assert list(read["seed"]) == [1, 2]
    assert read["value"].iloc[0] == 0.1 + 0.2
    assert read["value"].isna().tolist() == [False, True]
    assert list(read["better"]) == [True, False]
    assert read["p"].iloc[1] == 1e-300


def test_a_table_without_rows_keeps_its_columns() -> None:
    read = pd.read_parquet(io.BytesIO(data_to_parquet(Data("d", ("arm", "seed"), ()))))
    assert (list(read.columns), len(read)) == (["arm", "seed"], 0)
