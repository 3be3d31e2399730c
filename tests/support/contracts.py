"""A test of a contract suite, run on a component that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.testing.components import ComponentContract


def assert_breaks(suite: type[ComponentContract], test: str, component: Any, **given: Any) -> None:
    """The test of the suite fails for that component."""
    made = type("Suite", (suite,), {"component": component, "__test__": False})()
    with pytest.raises((AssertionError, AttributeError, TypeError, ValueError, RuntimeError)):
        getattr(made, test)(**given)
