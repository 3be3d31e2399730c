"""The search for cycles is put off, and resumes afterwards if it ran before."""

from __future__ import annotations

import gc

import pytest

from harness.system.garbage import uncollected


def test_it_is_off_within_and_on_again_after_an_error_too() -> None:
    assert gc.isenabled()
    seen: list[bool] = []

    def look() -> None:
        seen.append(gc.isenabled())
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"), uncollected():
        look()
    assert seen == [False]
    assert gc.isenabled()


def test_who_had_it_off_keeps_it_off() -> None:
    with uncollected():
        with uncollected():
            pass
        assert not gc.isenabled()
