"""The SQLite file in which a store keeps Optuna's studies: whether it is whole, and what to do when it is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from harness.store import Store

FOLDER = "studies"
NAME = "optuna.sqlite3"
BESIDE = ("-wal", "-shm")
"""SQLite's own files beside it: what is not yet in it, and an index of that."""


def damage(path: Path) -> str | None:
    """Why that file cannot be used; None when it is whole or missing, or cannot be read just now. Changes nothing."""
    if path.is_symlink():
        return f"{path} is not a file but a link"
    if not path.exists():
        return None
    if not path.is_file():  # SQLite would wait for a pipe
        return f"{path} is not a file"
    # Where nobody has it open nothing lies beside it, and SQLite need not put anything there to read it.
    used = Path(f"{path}{BESIDE[0]}").exists()
    where = f"file:{quote(str(path.absolute()))}?mode=ro{'' if used else '&immutable=1'}"
    try:
        with closing(sqlite3.connect(where, uri=True, timeout=60)) as connection:
            said = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return None
    except (sqlite3.DatabaseError, UnicodeError) as error:
        said = str(error)
    return None if said == "ok" else f"{path} is damaged: {' '.join(said.split())}"


def set_aside(store: Store, reason: str) -> Path:
    """Moves the file into quarantine, and what lies beside it; returns where it is."""
    path = store.part(FOLDER) / NAME
    kept = store.quarantine(path, reason)
    for suffix in BESIDE:
        if (beside := Path(f"{path}{suffix}")).exists():
            store.quarantine(beside, f"it belongs to {path}: {reason}")
    return kept


def ensure_whole(store: Store, note: Callable[[str], None]) -> None:
    """Sets a damaged file aside, so that studies start again; their cells are in the store and not trained again."""
    path = store.part(FOLDER) / NAME
    if damage(path) is None:
        return
    with store.lock(NAME):
        if (reason := damage(path)) is not None:  # nobody else was faster
            note(f"damaged: {reason}. It is kept in {set_aside(store, reason)}; studies start again, trainings do not")
