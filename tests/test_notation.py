"""How components are written: text is read without evaluating anything, and a record's tree and its paths are one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harness.errors import RequestError
from harness.notation import (
    MOST_CHARACTERS,
    Call,
    call_text,
    differences,
    flatten,
    parse_call,
    parse_calls,
    shown,
    unflatten,
)
from harness.presets import PRESETS, preset


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attention", Call("attention", {})),
        (" attention ( ) ", Call("attention", {})),
        ("attention(heads=8)", Call("attention", {"heads": "8"})),
        ("a(b=c(d=1, e=2), f=[1, 2,3])", Call("a", {"b": Call("c", {"d": "1", "e": "2"}), "f": ["1", "2", "3"]})),
        ("a(b='x, y', c=\"(\")", Call("a", {"b": "x, y", "c": "("})),
        ("file:weights/a b.pt", Call("file", {"": "weights/a b.pt"})),
        ("gradient-difference(weight=1e-1,)", Call("gradient-difference", {"weight": "1e-1"})),
    ],
)
def test_a_call_is_read(text: str, expected: Call) -> None:
    assert parse_call(text) == expected


def test_several_calls_are_read_and_counted() -> None:
    assert [one.name for one in parse_calls("mse(weight=1), ssim , mae(weight=[1,2])")] == ["mse", "ssim", "mae"]
    with pytest.raises(RequestError, match="names 65 components"):
        parse_calls(",".join(["a"] * 65))


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab(),=[]'\" :1.-", max_size=40) | st.text(max_size=20))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        found = parse_call(text).name
    except RequestError as error:
        found = str(error)
    assert found
    assert len(found) < 400


def test_what_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(RequestError, match="at most 4,096"):
        parse_call("a" * (MOST_CHARACTERS + 1))


VALUES = (
    st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.none()
    | st.lists(st.integers(0, 9), max_size=3)
)
NAMES = st.sampled_from(["a", "b", "c", "d"])
COMPONENTS = st.recursive(
    st.builds(lambda name, fields: {"name": name} | fields, NAMES, st.dictionaries(NAMES, VALUES, max_size=2)),
    lambda inner: st.builds(
        lambda name, fields, nested: {"name": name} | fields | {"inner": nested},
        NAMES,
        st.dictionaries(NAMES, VALUES, max_size=2),
        inner,
    ),
    max_leaves=4,
)


@hypothesis_settings(max_examples=100, deadline=None)
@given(COMPONENTS)
def test_the_text_of_a_component_reads_back_as_the_component(record: dict[str, object]) -> None:
    def plain(value: object) -> object:
        if isinstance(value, Call):
            return {"name": value.name} | {key: plain(one) for key, one in value.arguments.items()}
        return [plain(one) for one in value] if isinstance(value, list) else value

    def text(value: object) -> object:
        """What a reader of text can know: names without fields are plain words, numbers are words."""
        if isinstance(value, dict):
            fields = {key: text(one) for key, one in value.items() if key != "name"}
            return {"name": value["name"]} | fields if fields else value["name"]
        if isinstance(value, list):
            return [text(one) for one in value]
        return "none" if value is None else str(value)

    found = plain(parse_call(call_text(record)))
    assert found == text(record) or found == {"name": text(record)}


@pytest.mark.parametrize("name", PRESETS)
def test_a_tree_and_its_paths_are_one_thing(name: str) -> None:
    tree = preset(name).to_dict()
    flat = flatten(tree)
    assert flat["architecture"] == "encoder-forecaster"
    assert flat["training.optimizer.lr"] == tree["training"]["optimizer"]["lr"]
    assert not any(isinstance(value, dict) for value in flat.values())
    assert list(differences(unflatten(flat), tree)) == []
    assert list(differences(tree, unflatten(flat))) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"training.optimizer.lr": 0.5}, [("training.optimizer.lr", "0.5")]),
        (
            {"training.optimizer": "sgd(lr=0.5)"},
            [("training.optimizer", "sgd(lr=0.5, momentum=0.9, nesterov=True, weight_decay=0.0)")],
        ),
        (
            {"architecture.bottleneck": "attention(heads=2)"},
            [("architecture.bottleneck", "attention(blocks=2, heads=2, expansion=4)")],
        ),
        ({"loss.ssim": "none"}, [("loss.ssim", "none")]),
        ({"loss.mae": 0.5}, [("loss.mae.weight", "0.5"), ("loss.mae.start", "0.0"), ("loss.mae.ramp", "0.0")]),
        ({"architecture.widths": "4,4"}, [("architecture.widths", "4,4")]),
    ],
)
def test_differences_are_the_settings_that_lead_from_one_record_to_another(
    changes: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    start = preset("tiny")
    changed = start.replace(changes)
    found = list(differences(changed.to_dict(), start.to_dict()))
    assert found == expected
    assert start.replace(dict(found)) == changed


def test_several_components_are_written_as_a_list_and_read_back() -> None:
    text = call_text(preset("cpu").to_dict()["loss"])
    assert text == "[mse(weight=0.7, start=0.0, ramp=0.0), ssim(weight=0.3, start=0.2, ramp=0.4)]"
    assert preset("tiny").replace({"loss": text}).loss == preset("cpu").loss
    data = call_text(preset("tiny").to_dict()["data"])
    assert "augment=[]" in data
    assert preset("cpu").replace({"data": data}).data == preset("tiny").data


def test_a_value_in_a_message_is_short() -> None:
    assert shown("x" * 1000).endswith("...")
    assert len(shown("x" * 1000)) == 100
    assert shown(10**5000) == "a int too large to show"
