"""Keys depend on content, not on the order of fields. The keys of cells: tests/test_experiment.py."""

from __future__ import annotations

from harness.store import key_of


def test_keys_are_short_hexadecimal_and_do_not_depend_on_the_order_of_fields() -> None:
    assert key_of({"a": 1, "b": [1.0, None]}) == key_of({"b": [1.0, None], "a": 1})
    assert len(key_of({})) == 16
    assert int(key_of({}), 16) > 0
    assert key_of({"a": 1}) != key_of({"a": 2})
