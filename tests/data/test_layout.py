"""Layouts: axes are named, or told by names that everybody uses, or have one reading only."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.layout import layout_of
from harness.errors import RequestError

PATH = Path("a.npy")


@pytest.mark.parametrize(
    ("shape", "dims", "given", "letters"),
    [
        ((100, 32, 48), (), "auto", "T H W"),
        ((100, 20, 32, 48), (), "auto", "N T H W"),
        ((20, 2, 32, 48), (), "auto", "T C H W"),
        ((30, 7, 32, 48), (), "auto", "T N H W"),
        ((20, 10_000, 64, 64), (), "auto", "T N H W"),
        ((500, 32, 48, 3), (), "auto", "T H W C"),
        ((12, 25, 2, 32, 48), (), "auto", "N T C H W"),
        ((25, 12, 32, 48), (), "T N H W", "T N H W"),
        ((25, 12, 32, 48), (), "tnhw", "T N H W"),
        ((32, 48, 25), (), "H,W,T", "H W T"),
        ((25, 32, 48), ("time", "lat", "lon"), "auto", "T H W"),
        ((32, 48, 25), ("y", "x", "t"), "auto", "H W T"),
        ((25, 1, 32, 48), ("time", "level", "lat", "lon"), "auto", "T H W"),
        ((25, 32, 48), ("time", "lat", "lon"), "time lat lon", "T H W"),
        ((25, 3, 32, 48), ("hour", "kind", "ny", "nx"), "hour=T kind=C ny=H nx=W", "T C H W"),
    ],
)
def test_what_is_understood(shape: tuple[int, ...], dims: tuple[str, ...], given: str, letters: str) -> None:
    assert str(layout_of(PATH, shape, dims, given, 20, 3)) == letters


@pytest.mark.parametrize(
    ("shape", "dims", "given", "said"),
    [
        ((20, 40, 16, 16), (), "auto", r'"N T H W" \(20 sequences of 40 frames, .*"T N H W" \(40 sequences of 20 frames'),
        ((40, 40, 16, 16), (), "auto", r'"N T H W" \(40 sequences of 40 frames, .*"T N H W" \(40 sequences of 40 frames'),
        ((12, 25, 32, 48, 3), (), "auto", r"last axis looks like 3 channels, .*data\.layout=N T H W C"),
        ((25, 32, 48), ("a", "b", "c"), "auto", r"axes a \(25\), b \(32\), c \(48\), whose names do not tell"),
        ((25, 32, 48), (), "T H", "name each axis once"),
        ((25, 32, 48), (), "T H H", "name each axis once"),
        ((25, 32, 48), (), "N C T", "with T, H and W among them"),
        ((25, 2, 32, 48), ("time", "level", "lat", "lon"), "time=T lat=H lon=W", "only an axis of length 1"),
        ((25, 32, 48), ("time", "lat", "lon"), "hour=T lat=H lon=W", r"names 'hour'; .* time \(25\)"),
        ((25, 32, 48), ("time", "lat", "lon"), "foo bar", "does not name the axes"),
        ((25, 32), (), "auto", r"frames are \(T, H, W\)"),
    ],
)
def test_what_is_refused(shape: tuple[int, ...], dims: tuple[str, ...], given: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        layout_of(PATH, shape, dims, given, 20, 3)
