"""`import harness`: light, with every public word."""

from __future__ import annotations

import subprocess
import sys

import pytest

import harness


def test_importing_the_library_imports_nothing_heavy() -> None:
    words = (
        "import sys, harness; harness.Component, harness.Variant, harness.run, harness.study; "
        "assert callable(harness.study) and callable(harness.report); "
        "print(sorted({'torch', 'pandas', 'numpy', 'matplotlib', 'typer', 'optuna'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there_and_others_are_answered_with_them() -> None:
    assert {"run", "ablate", "study", "report", "compare", "open_store", "Experiment", "setting"} <= set(dir(harness))
    assert all(hasattr(harness, name) for name in dir(harness))
    with pytest.raises(AttributeError, match=r"it has .*ablate"):
        harness.ablat  # noqa: B018
