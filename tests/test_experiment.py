"""An experiment is a typed value: what goes in is checked, what comes out is the same again."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from trees import FIND, SETTINGS, TINY

from harness.component import is_slot
from harness.errors import RequestError
from harness.experiment import Experiment, canonical_json
from harness.presets import PRESETS, preset
from harness.registry import Components
from harness.runs.request import resolve
from harness.system import devices
from harness.tree import walk
from harness.variant import Variants


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json(name: str) -> None:
    text = json.dumps(preset(name).to_dict())
    assert Experiment.from_dict(json.loads(text)) == preset(name)


@pytest.mark.parametrize("text", ["base", "residual", "attention+curriculum+residual+tta"])
def test_an_experiment_with_components_survives_json(text: str) -> None:
    variants = Variants(third_party=False)
    made = variants.compose(text).apply(TINY)
    assert Experiment.from_dict(json.loads(json.dumps(made.to_dict())), variants.components.find) == made


@pytest.mark.parametrize("record", [None, [], "x", {}, {"data": None}, {"data": []}, {"data": {}, "loss": 3}])
def test_a_record_that_is_no_experiment_is_refused(record: Any) -> None:
    with pytest.raises(RequestError):
        Experiment.from_dict(record)


def test_resolving_makes_the_budget_and_the_precision_explicit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_processor_has_bfloat16", lambda: False)
    given = TINY.replace({"training.epochs": 1.5, "training.precision": "auto"})
    resolved = resolve(given, "cpu")
    assert (resolved.training.steps, resolved.training.epochs, resolved.training.precision) == (24, None, "float32")
    assert resolve(resolved, "cpu") == resolved
    timed = resolve(TINY.replace({"training.seconds": 3}), "cpu").training
    assert (timed.steps, timed.seconds) == (None, 3.0)
    with pytest.raises(RequestError, match="float16 needs CUDA"):
        resolve(TINY.replace({"training.precision": "float16"}), "cpu")


def test_every_setting_of_every_component_is_documented() -> None:
    for kind in Components(third_party=False).classes():
        assert kind.__doc__
        assert all(f.metadata.get("doc") for f in dataclasses.fields(kind)), kind
    assert all(f.metadata.get("doc") for path, f, *_ in walk(TINY) if path.count(".")), "a setting has no documentation"


# --- whatever is thrown at it

SLOTS = [path for path, f, *_ in walk(TINY) if is_slot(f)]

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(("hflip", "mse", "none"))
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*SETTINGS, *SLOTS, "x", "training.x"]), JSON, min_size=1, max_size=3))
def test_replacing_with_anything_ends_in_an_experiment_or_a_clear_refusal(changes: dict[str, object]) -> None:
    try:
        made = resolve(TINY.replace(changes), "cpu")
    except RequestError:
        return
    assert Experiment.from_dict(json.loads(canonical_json(made.to_dict()))) == made
    assert made.training.epochs is None


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.sampled_from([f.name for f in dataclasses.fields(Experiment)]), st.sampled_from(sorted(SETTINGS)), JSON)
def test_reading_any_record_ends_in_an_experiment_or_a_clear_refusal(section: str, path: str, value: object) -> None:
    record: dict[str, Any] = TINY.to_dict()
    record[section] = {**record[section], path.split(".")[1]: value}
    try:
        made = Experiment.from_dict(record, FIND)
    except RequestError:
        return
    assert Experiment.from_dict(made.to_dict(), FIND) == made


@hypothesis_settings(max_examples=100, deadline=None)
@given(JSON)
def test_reading_anything_at_all_ends_in_a_clear_refusal(record: Any) -> None:
    with pytest.raises(RequestError):
        Experiment.from_dict(record)
