"""Formats of the store's files: which ones this version reads, and how it brings old ones up to date.

1 had neither digests nor places in lines and in checkpoints. It is read as it is, and continued in the newest format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

FORMAT = 2
UPGRADES: dict[int, Callable[[str, dict[str, Any]], dict[str, Any]]] = {}
"""For a format, the function that turns (record's name, its body) into the body of the next format; absent where the bodies of
both are alike, as those of 1 and 2 are."""
REDO = "its run's command sets it aside and makes it again"


class DamagedRecord(HarnessError):
    """A file or folder of the store is truncated, changed, or not one of ours. `path`, where it is known, is what to set aside."""

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class NewerFormat(HarnessError):
    """A whole file of the store that a newer version wrote: not damaged, and not for this version to touch."""


@contextmanager
def validated(path: Path) -> Iterator[None]:
    """Wraps the use of a record's fields: a sound file with other fields than ours is named instead of crashing.

    Raises DamagedRecord.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DamagedRecord(f"{path} holds records of another program ({reason})") from error


def check_format(path: Path, found: object) -> int:
    """The format of a file that is whole. Raises NewerFormat or DamagedRecord unless this version reads it."""
    if isinstance(found, int) and found > FORMAT:
        raise NewerFormat(f"{path} has format {found}; this version reads up to {FORMAT}: install a newer one")
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise DamagedRecord(f"{path} has no known format ({found!r}); {REDO}", path)
    return found


def upgraded(path: Path, body: dict[str, Any], found: int) -> dict[str, Any]:
    """A record's body in the newest format. Raises DamagedRecord when it has other fields than its format says."""
    with validated(path):
        for number in range(found, FORMAT):
            if (upgrade := UPGRADES.get(number)) is not None:
                body = upgrade(path.name, body)
    return body
