"""Components: frozen, typed, checked, found by name, never imported from a record."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from trees import FIND, TINY, Inner, Toy

from harness.component import Component
from harness.errors import RequestError
from harness.experiment import Experiment
from harness.variant import Variants


def test_components_inside_components_survive_json() -> None:
    made = TINY.replace({"architecture.skip": Toy(kernel=5, note="x", more=(Inner(strength=4.0),), lively=True)})
    record = json.loads(json.dumps(made.to_dict()))
    assert record["architecture"]["skip"]["revision"] == 2
    assert record["architecture"]["skip"]["more"] == {"inner": {"strength": 4.0}}
    assert Experiment.from_dict(record, FIND) == made
    for text in ("toy(inner=inner(strength=3), lively=yes)", 'toy(inner="inner(strength=3)", lively=true)'):
        assert TINY.replace({"architecture.skip": text}, FIND).get("architecture.skip.inner.strength") == 3.0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "os.system"}, "needs the component 'os.system'"),
        ({"name": None}, "has a name"),
        ({"name": ["x"]}, "has a name"),
        ({"revision": 1}, "was made by revision 1"),
        ({"revision": None}, "revision"),
        ({"unknown": 1}, "has no setting 'unknown'"),
        ({"kernel": 4}, "cannot be made: even"),
        ({"kernel": "x"}, "whole number"),
        ({"lively": 3}, "true or false"),
        ({"inner": {"name": "os.system"}}, "os.system"),
    ],
)
def test_a_component_that_is_not_the_installed_one_is_refused(change: dict[str, object], expected: str) -> None:
    record = TINY.replace({"architecture.skip": Toy()}).to_dict()
    record["architecture"]["skip"] |= change
    with pytest.raises(RequestError) as refused:
        Experiment.from_dict(record, FIND)
    assert expected in str(refused.value)
    assert "architecture.skip" in str(refused.value)


def test_a_record_cannot_name_code_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for place, planted in (("skip", {"name": "planted_module.Planted"}), ("bottleneck", {"name": "planted_module:Planted"})):
        record = TINY.to_dict()
        record["architecture"][place] = planted
        with pytest.raises(RequestError, match=r"planted_module.Planted"):
            Experiment.from_dict(record, Variants(third_party=False).components.find)
    assert "planted_module" not in sys.modules


def test_a_slot_refuses_what_is_not_a_frozen_component_made_for_it() -> None:
    class Undecorated(Component):
        slot: ClassVar[str] = "architecture.skip"
        name: ClassVar[str] = "undecorated"

    @dataclass(frozen=True)
    class Stranger:
        slot: ClassVar[str] = "architecture.skip"

    for value in (Undecorated(), Stranger(), Toy, object(), 1.5, Inner()):
        with pytest.raises(RequestError, match=r"architecture\.skip is .*; a slot takes a frozen dataclass derived from"):
            dataclasses.replace(TINY.architecture, skip=value)
    with pytest.raises(RequestError, match=r"training\.curriculum is .* slot = 'training\.curriculum'"):
        dataclasses.replace(TINY.training, curriculum=Toy())
