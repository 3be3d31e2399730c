"""Every call that writes fails once. Used by the tests, which sample it, and by `make torture`, which does all of it."""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from harness.errors import HarnessError
from harness.maintenance import repair
from harness.store import Store

CALLS = ("open", "write", "pwrite", "fsync", "replace", "rename", "link", "unlink", "mkdir")
"""The calls by which anything of a store is written, named or removed. What SQLite does is not seen here: it is no Python."""
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)


class Faults:
    """Counts the calls that write below a folder, and lets the n-th fail."""

    def __init__(self, root: Path) -> None:
        self.root, self.count, self.fails, self.error = str(root), 0, 0, errno.ENOSPC
        self.sites: list[str] = []

    def _below(self, what: object) -> Path | None:
        if isinstance(what, int):
            try:
                what = os.readlink(f"/proc/self/fd/{what}")
            except OSError:
                return None
        return Path(what) if isinstance(what, str | Path) and str(what).startswith(self.root) else None

    def _wrap(self, name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if not _reads(name, args, options) and (path := self._below(args[0])) is not None:
                self.count += 1
                self.sites.append(f"{name} {path.parent.parent.name}/{_kind(path.name)}")
                if self.count == self.fails:
                    raise OSError(self.error, os.strerror(self.error))
            return whole(*args, **options)

        return call

    @contextmanager
    def injected(self, fails: int = 0, error: int = errno.ENOSPC) -> Iterator[None]:
        """Within, the call of that number fails; none does when it is 0."""
        self.count, self.fails, self.error, self.sites = 0, fails, error, []
        with ExitStack() as stack:
            for owner, name in (*((os, name) for name in CALLS), (builtins, "open"), (io, "open")):
                stack.enter_context(mock.patch.object(owner, name, self._wrap(name, getattr(owner, name))))
            yield


def _reads(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether a call opens something to read it, or what is open already. `os.open` has flags, the others of its name a mode."""
    if name != "open":
        return False
    how = args[1] if len(args) > 1 else options.get("mode", "r")
    if isinstance(args[0], int):
        return True
    return not how & (os.O_WRONLY | os.O_RDWR) if isinstance(how, int) else not {*how} & {*"wax+"}


def _kind(name: str) -> str:
    """A file's name without what differs from run to run."""
    return re.sub(r"[0-9a-f]{16}|[0-9]{8}", "#", re.sub(r"^\.|\.[0-9a-f]{12}\.part$", "", name))


def _nothing(store: Store) -> None:
    """A store may begin empty."""


def sites(root: Path, work: Callable[[Store], object], prepare: Callable[[Store], None] = _nothing) -> list[str]:
    """The calls that write when nothing fails, in their order. `prepare` fills the store before; its calls do not count."""
    store = Store(root / "all")
    store.root.mkdir(parents=True)
    prepare(store)
    faults = Faults(store.root)
    with faults.injected():
        work(store)
    return faults.sites


def fail_each(
    root: Path,
    work: Callable[[Store], Any],
    same: Callable[[Any], bool],
    numbers: Iterable[int],
    prepare: Callable[[Store], None] = _nothing,
) -> list[int]:
    """Lets each of these calls fail once, in a store of its own; returns the numbers that no call had, for the work was shorter.

    Args:
        work: what is done with the store; its result is judged by `same`.
        prepare: fills each store before; none of its calls fails. What it leaves damaged is the work's to mend.

    Raises AssertionError when the error is not one clear line, the store is not whole after it, or the work does not go on.
    """
    missed = []
    for number in numbers:
        store = Store(root / str(number))
        store.root.mkdir(parents=True)
        prepare(store)
        known = {one.path for one in repair.findings(store) if one.kind == "damaged"}
        faults, told = Faults(store.root), None
        with faults.injected(number, ERRORS[number % len(ERRORS)]):
            try:
                work(store)
            except HarnessError as error:
                told = str(error)
            except Exception as error:  # the command line would show its traceback, or name no file
                raise AssertionError(f"call {number}, {faults.sites[-1:]}: {type(error).__name__}: {error}") from error
        if faults.count < number:
            missed.append(number)
            continue
        site = f"call {number}, {faults.sites[number - 1]}"
        if told is not None:  # a folder that cannot be synced, or one sign of life less, is no failure
            assert "\n" not in told, site
            assert os.strerror(faults.error) in told, f"{site}: {told}"
            assert str(store.root) in told, f"{site}: {told}"
        damaged = [one.reason for one in repair.findings(store) if one.kind == "damaged" and one.path not in known]
        assert not damaged, f"{site}: {damaged}"
        assert same(work(store)), f"{site}: other numbers"
        left = [one.reason for one in repair.findings(store) if one.kind in ("damaged", "left over")]
        assert not left, f"{site}: {left}"
        shutil.rmtree(store.root)
    return missed
