"""The examples in docstrings are executed: an example that no longer holds fails."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[1]
WITH_EXAMPLES = [
    ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")
    for package in ("harness", "variants", "studies", "reports")
    for path in sorted((HOUSE / package).rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_a_module_hold(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0


def test_the_contracts_of_the_house_have_examples() -> None:
    assert {"harness.experiment", "harness.notation", "harness.errors", "harness.training.schedules"} <= set(WITH_EXAMPLES)
