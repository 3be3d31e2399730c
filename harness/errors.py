"""The errors that a user can meet. Each carries one clear line and the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """The work failed (exit code 1). The message says what was given, what exists and what to do."""

    exit_code = 1


class RequestError(HarnessError):
    """The request was wrong (exit code 2): an unknown name, a value out of range, a file that is not what it should be."""

    exit_code = 2


class OutOfMemory(HarnessError):
    """Memory ran out, on the GPU or on the host."""


class Interrupted(HarnessError):
    """The user or a scheduler stopped the work (exit code 130, after SIGTERM 143); its state is saved."""

    exit_code = 130


def unknown(kind: str, given: str, known: Iterable[str], *, label: str = "known") -> RequestError:
    """An error for a name that does not exist, with the closest name that does.

    >>> str(unknown("variant", "atention", ["attention", "base"], label="installed"))
    "unknown variant 'atention'; did you mean 'attention'? installed: attention, base"
    """
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1)
    hint = f" did you mean {close[0]!r}?" if close else ""
    return RequestError(f"unknown {kind} {given!r};{hint} {label}: {', '.join(names) or 'none'}")
