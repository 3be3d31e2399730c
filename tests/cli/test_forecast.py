"""`harness forecast`: what is asked for wrongly is answered before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "name a run and its input: harness forecast RUN --input FILE"),
        ("abc", "name a run and its input"),
        ("--input last.npy", "several runs: --ensemble RUN,RUN"),
        ("abc --input last.npy --out f.mp4", "choose a file that ends in .nc, .zarr, .npy, .gif"),
        ("abc --input last.npy --out last.npy", "is the input, which would be lost"),
        ("abc --input last.npy --out folder.nc", "is a folder; choose another file"),
        ("abc --input last.npy --horizon 0", "--horizon"),
    ],
)
def test_a_wrong_request_is_one_line(
    words: str, said: str, harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("last.npy", np.zeros((4, 8, 8), np.float32))
    Path("folder.nc").mkdir()
    answer = harness("forecast", *words.split(), "--store", "s")
    assert answer.code == 2
    assert said in answer.error
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder.nc", "last.npy"]


def test_an_ensemble_of_a_run_that_is_not_there_is_refused(harness: Command, tiny_store: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "last.npy", np.zeros((4, 16, 16), np.float32))
    answer = harness(
        *(
            "forecast",
            "--ensemble",
            "zzz",
            "--input",
            tmp_path / "last.npy",
            "--store",
            tiny_store,
            "--out",
            tmp_path / "f.npy",
        )
    )
    assert answer.code == 2
    assert "zzz" in answer.error
