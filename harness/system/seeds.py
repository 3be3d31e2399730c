"""Seeds of places: what one part draws has nothing to do with what another draws."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, place: object) -> int:
    """A seed for one place, 0..2**56 - 1: a hash, so that neighbouring seeds and places have nothing to do with each other."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{place}".encode()).digest()[:7])
