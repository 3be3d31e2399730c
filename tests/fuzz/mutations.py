"""What outside bytes can look like: valid ones that were cut, flipped, spliced or made to claim too much, and noise."""

from __future__ import annotations

import copy
import gzip
import struct
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

EXTREMES = (0, 1, 2, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 10**12, 2**63 - 1, 2**64 - 1)
TEXTS = (
    "", " ", "../x", "../../../../etc/passwd", "/etc/passwd", "/dev/zero", "~", "a\0b", "\ud800", "\u202e", "NaN", "inf", "-1",
    "1e400", "9" * 400, "9" * 5000, "²", "<script>alert(1)</script>", "=cmd()", "+1", "@x", "\t=1", "\r=1", "\x1b[2J\x1b]0;x\x07",
    "{{7*7}}", "%n%s", "x" * 10_000, "é" * 300, "base+base", "+", "a.b.c", "training.", ".steps", "postgresql://u:p@127.0.0.1:1/x",
)  # fmt: skip


def deep(levels: int = 900) -> Any:
    """Lists in lists."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


HOSTILE = (
    *TEXTS, None, True, False, -1, 0, 1, 10**12, -(10**12), 10**400, 2**63, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    [], {}, [[]], {"": ""}, [None] * 50, {"type": "os.system"}, {"type": "variants.attention.SpatialAttention", "blocks": 10**9},
)  # fmt: skip
values = st.one_of(st.sampled_from(HOSTILE), st.just(deep()), st.integers(), st.floats(), st.text(max_size=20))


@st.composite
def bytes_like(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Bytes made of valid ones by one to three changes; sometimes noise, sometimes unchanged."""
    whole = draw(st.integers(0, 11))
    if whole == 0:
        return draw(st.binary(max_size=300))
    if whole == 1:
        return draw(st.sampled_from(seeds))
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        size = len(content)
        # Headers stand at the beginning (or, in zip archives, at the end), so half of the changes are made there.
        low, high = ((0, min(size, 160)), (max(0, size - 120), size), (0, size))[draw(st.integers(0, 2))]
        place = draw(st.integers(low, high))
        how = draw(st.sampled_from(("cut", "flip", "claim", "claim", "noise", "drop", "repeat", "splice", "pack")))
        if how == "cut":
            del content[place:]
        elif how == "flip" and size:
            content[place % size] ^= 1 << draw(st.integers(0, 7))
        elif how == "claim":
            shape = draw(st.sampled_from(("<H", ">H", "<I", ">I", "<Q", ">Q")))
            number = draw(st.sampled_from(EXTREMES)) % 256 ** struct.calcsize(shape)
            content[place : place + struct.calcsize(shape)] = struct.pack(shape, number)
        elif how == "noise":
            noise = draw(st.binary(min_size=1, max_size=12))
            content[place : place + len(noise)] = noise
        elif how == "drop":
            del content[place : place + draw(st.integers(1, 64))]
        elif how == "repeat":
            content[place:place] = content[place : place + draw(st.integers(1, 64))]
        elif how == "splice":
            other = draw(st.sampled_from(seeds))
            content[place:] = other[draw(st.integers(0, len(other))) :]
        else:
            content = bytearray(gzip.compress(bytes(content), 1, mtime=0))
    return bytes(content)


@st.composite
def json_like(draw: st.DrawFn, seeds: Sequence[Any]) -> Any:
    """A JSON value made of a valid one: one to three of its parts are replaced, taken away, named otherwise or swapped."""
    value = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        parent: Any = None
        key: Any = None
        part = value
        while isinstance(part, dict | list) and part and (parent is None or draw(st.integers(0, 4))):
            parent, key = part, draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
            part = parent[key]
        if parent is None:
            return copy.deepcopy(draw(values))
        how = draw(st.sampled_from(("replace", "replace", "replace", "remove", "rename", "many")))
        if how == "replace":
            parent[key] = copy.deepcopy(draw(values))
        elif how == "remove":
            del parent[key]
        elif how == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from(TEXTS))] = parent.pop(key)
        elif how == "many" and isinstance(parent, list):
            parent *= draw(st.integers(0, 40))
    return value


@st.composite
def text_like(draw: st.DrawFn, seeds: Sequence[str]) -> str:
    """Text made of valid one."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text)))
        new = draw(st.one_of(st.sampled_from(TEXTS), st.text(max_size=12), st.integers().map(str), st.floats().map(str)))
        text = text[:place] + new + text[place + draw(st.integers(0, 12)) :]
    return text
