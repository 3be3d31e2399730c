"""Texts and numbers of records, as short as a page can show them."""

from __future__ import annotations

import json
import math

import pytest

from reports.analysis import words


def test_long_texts_keep_one_line_and_say_their_length() -> None:
    assert words.shorten("a\n  b\tc") == "a b c"
    shown = words.shorten("x" * 5000, 60)
    assert len(shown) <= 60
    assert shown.endswith("... (5,000 characters)")


def test_a_label_keeps_the_end_that_tells_arms_apart() -> None:
    first, second = (words.label(f"base(training.optimizer.weight_decay={value})") for value in ("0.001", "0.002"))
    assert first != second
    assert len(first) == len(second) == words.LABEL_LENGTH
    assert first.startswith("base(")
    assert words.label("a\x1b[2Jb") == "a?[2Jb"


@pytest.mark.parametrize("value", [1, -2.5, True, False, {"b": [1, 2], "a": None}, math.nan, [0.1]])
def test_a_compact_value_is_its_json(value: object) -> None:
    read = json.loads(words.compact(value))
    assert read == value or (math.isnan(read) and value is math.nan)
    assert " " not in words.compact(value)


def test_compact_leaves_a_text_as_it_is_and_sorts_keys() -> None:
    assert words.compact("a b") == "a b"
    assert words.compact({"b": 1, "a": 2}) == words.compact({"a": 2, "b": 1})
    assert words.compact(None) == "null"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, "none"), (3, "3"), (0.0003, "0.0003"), (1e-9, "1e-09"), ("muon", "muon"), ([1, 2], "[1,2]")],
)
def test_a_setting_is_written_as_a_person_does(value: object, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize("value", [None, True, "1", math.inf, math.nan, 10**400])
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert words.real(value) is None
    assert words.percent(value) == "0%"


def test_lists_and_counts() -> None:
    assert words.listed(range(5), 3) == "0, 1, 2 and 2 more"
    assert words.listed((7,)) == "7"
    assert (words.counted(1, "seed"), words.counted(0, "seed")) == ("1 seed", "0 seeds")
    assert words.percent(0.256) == "26%"
    assert words.distinct(["b", "a", "b"]) == ["b", "a"]
    assert words.names_in("attention(heads=1)+tta(views=a+b)") == ["attention", "tta"]
