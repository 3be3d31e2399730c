"""A component that the smoke test refuses, before anything is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trainings import cell_of

from harness.component import Component
from harness.errors import RequestError
from harness.runs.cell import run_cell
from harness.store import Store


def assert_refused(component: Component, name: str, came: str, wanted: str, root: Path) -> None:
    """A run with the component ends in one line with its name, what it gave and what is wanted (patterns), and writes nothing."""
    many = component.slot in ("loss", "data.augment", "metrics", "inference.views")
    path = f"{component.slot}.{component.name}" if many else component.slot
    cell, source = cell_of({path: component})
    with pytest.raises(RequestError) as caught:
        run_cell(cell, Store(root), source)
    text = str(caught.value)
    assert "\n" not in text
    assert name in text
    assert re.search(came, text), text
    assert re.search(wanted, text), text
    assert not list(root.rglob("*.json"))
