"""`harness score`: a wrong request is one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Command
from stored_sequences import faded

TINY = ("-p", "tiny")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "name files of predictions, or one --predictor"),
        ("p.npy --predictor a:b", "name files of predictions, or one --predictor"),
        ("p.npy --name base", "a variant has that name"),
        ("missing.npy", "does not exist"),
        ("p.npy --name Their's", "lower-case letters"),
        ("p.npy p.npy", "several seeds are several trainings"),
        ("--predictor missing.pt", "there is no such file"),
        ("--predictor nomodule:f", "cannot be loaded: ModuleNotFoundError"),
        ("--predictor os:nothing", "cannot be loaded: AttributeError"),
        ("--predictor os:sep", "cannot be called"),
        ("--predictor os.getcwd()", "write module:function"),
        ("--predictor os:getcwd", "fails on the test sequences: TypeError"),
        ("--predictor operator:eq", "wanted is a tensor of floats of the shape"),
        ("--predictor p.onnx", "cannot be loaded"),
        ("--predictor p.pt", "cannot be loaded"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(words: str, said: str, harness: Command, exported: np.ndarray) -> None:
    np.save("p.npy", faded(exported, 1.0))
    for name in ("p.onnx", "p.pt"):
        Path(name).write_bytes(b"no model")
    answer = harness("score", *words.split(), *TINY, "--store", "s")
    assert answer.code == 2
    assert said in answer.error
