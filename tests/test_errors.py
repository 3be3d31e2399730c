"""Errors carry the exit code of the command line, and an unknown name is answered with what there is."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError, Interrupted, OutOfMemory, RequestError, unknown


@pytest.mark.parametrize(("kind", "code"), [(HarnessError, 1), (RequestError, 2), (OutOfMemory, 1), (Interrupted, 130)])
def test_every_error_has_its_exit_code_and_is_one_of_ours(kind: type[HarnessError], code: int) -> None:
    assert kind.exit_code == code
    assert issubclass(kind, HarnessError)


@pytest.mark.parametrize(
    ("given", "known", "words"),
    [
        ("atention", ["base", "attention"], "unknown variant 'atention'; did you mean 'attention'? known: attention, base"),
        ("zzz", ["base"], "unknown variant 'zzz'; known: base"),
        ("base", [], "unknown variant 'base'; known: none"),
    ],
)
def test_an_unknown_name_is_answered_with_the_closest_and_all_that_there_are(
    given: str, known: list[str], words: str
) -> None:
    error = unknown("variant", given, known)
    assert str(error) == words
    assert error.exit_code == 2
