"""Optuna's storages: opened with clear errors, never showing a password, and patient with a server that is away for a while.

Of a storage's own methods only `remove_session` is called, which is for users; everything else goes through `optuna.Study`.
"""

from __future__ import annotations

import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import HarnessError, RequestError
from harness.system.secrets import public_url, without_secrets
from harness.tuning.database import NAME

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage

T = TypeVar("T")

PATIENCE_SECONDS = 600.0
"""How long a storage that answered before may be away, before the study gives up (and can be continued)."""
JOURNAL = "journal:"
FREE = "free some space or make the file and its folder writable,"
"""What helps when SQLite cannot write: it has no server."""


@contextmanager
def experiments() -> Iterator[None]:
    """Silences Optuna's notes on interfaces that it calls experimental; the tests of this package cover their use."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


@dataclass(frozen=True)
class Storage:
    """An open storage.

    Args:
        optuna: what `optuna.create_study` takes.
        shown: its URL without secrets.
        url: its URL.
        local: whether all who use it share this store, so that the store's locks tell who is alive.
    """

    optuna: BaseStorage
    shown: str
    url: str
    local: bool

    @property
    def rdb(self) -> RDBStorage | None:
        """The storage where it is a database."""
        from optuna.storages import RDBStorage

        return self.optuna if isinstance(self.optuna, RDBStorage) else None

    def close(self) -> None:
        """Closes its connections."""
        if (rdb := self.rdb) is not None:
            rdb.remove_session()
            rdb.engine.dispose()


def open_storage(url: str | None, folder: Path) -> Storage:
    """Opens the storage of that URL; without one, SQLite in the store's folder for studies.

    Accepts SQLAlchemy's URLs (postgresql+psycopg://, mysql+pymysql://, sqlite:///) and journal:PATH.

    Raises RequestError for a URL that cannot be meant, HarnessError when nothing answers there.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HarnessError(
                f"cannot write {folder}: {error.strerror or error}; choose a writable store (--store, HARNESS_STORE)"
            ) from error
        url = f"sqlite:///{folder / NAME}"
        return Storage(_open_database("sqlite:///optuna", url, folder / NAME), url, url, True)
    shown = public_url(url)
    if url.startswith(JOURNAL):
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = Path(url.removeprefix(JOURNAL))
        try:
            if not path.parent.is_dir():
                raise RequestError(f"the storage {shown} is in the folder {path.parent}, which does not exist")
            return Storage(JournalStorage(JournalFileBackend(str(path))), shown, url, False)
        except OSError as error:
            raise HarnessError(f"cannot open the storage {shown}: {error.strerror or error}") from None
        except _FOREIGN as error:
            raise _foreign(error, shown, url) from error
    return Storage(_open_database(url, shown), shown, url, False)


def _open_database(url: str, shown: str, path: Path | None = None) -> RDBStorage:
    """A database. With `path` that file of SQLite: a path may hold any character, a URL may not."""
    import optuna
    import sqlalchemy
    from sqlalchemy import event

    hint = "write it as postgresql+psycopg://user@host:5432/database, sqlite:///file.sqlite3 or journal:file"
    try:
        kind = sqlalchemy.engine.make_url(url).get_backend_name()
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise RequestError(f"the storage {shown!r} is no URL of a database; {hint}") from None
    # No ping before every use: a connection that was lost fails at once, before it did anything, and is tried again.
    timeout = {"sqlite": {"timeout": 60}, "postgresql": {"connect_timeout": 10}}
    engine: dict[str, object] = {"connect_args": timeout.get(kind, {})}
    if path is not None:
        engine = {"creator": partial(sqlite3.connect, path.absolute(), timeout=60, check_same_thread=False)}
    try:
        with experiments(), _closed_unless_opened():
            storage = optuna.storages.RDBStorage(url, engine_kwargs=engine)
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
        cause = error.__cause__ or error
        raise RequestError(
            f"the storage {shown} needs a driver that is not installed ({without_secrets(str(cause), url)}); "
            "pip install 'ablation-harness[postgresql]' for postgresql+psycopg://"
        ) from None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError) as error:
        hint = (
            f"{FREE} then run the same command again, or choose another with --storage"
            if kind == "sqlite"
            else "check that the server runs and that user, password (best in PGPASSWORD or ~/.pgpass) and database are right"
        )
        internal = isinstance(error, optuna.exceptions.StorageInternalError)
        reason = _reason(error.__cause__ or error if internal else error, url)
        raise HarnessError(f"cannot open the storage {shown}: {reason}; {hint}") from None
    except RuntimeError as error:  # Optuna's tables of another version
        raise RequestError(
            f"the storage {shown} is not one for this version of Optuna: {without_secrets(str(error), url)}"
        ) from None
    except _FOREIGN as error:
        raise _foreign(error, shown, url) from error
    if kind == "sqlite" and ":memory:" not in url:

        @event.listens_for(storage.engine, "connect")
        def _settings(connection: object, record: object) -> None:
            # A write-ahead log is several times faster. A process that is killed loses nothing by it; a machine that loses
            # power may lose the last trial's end, and that trial is then answered from the store.
            connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]
            connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[attr-defined]

        storage.engine.dispose()
    return storage


@contextmanager
def _closed_unless_opened() -> Iterator[None]:
    """Closes the connections that Optuna made when it then refuses the database: its engine is lost with the error."""
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    made: list[Any] = []

    def remember(connection: object, record: object) -> None:
        made.append(connection)

    event.listen(Pool, "connect", remember)
    try:
        yield
    except BaseException:
        for connection in made:
            connection.close()
        raise
    finally:
        event.remove(Pool, "connect", remember)


_FOREIGN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, RuntimeError)
"""What Optuna raises, here and there, for a storage whose content it did not write."""


def _foreign(error: BaseException, shown: str, url: str) -> HarnessError:
    reason = f"{type(error).__name__}: {_reason(error, url)}"
    return HarnessError(f"the storage {shown} holds what is no study of ours ({reason}); use another with --storage")


def _reason(error: BaseException, url: str) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(without_secrets(str(cause), url).split())[:300]


class Patience:
    """Repeats an operation on the storage that fails because the server is away, waiting longer each time.

    The operations are such that doing one twice is harmless; `ask` is not, and `leftovers` finds the trial that it lost.
    """

    def __init__(self, storage: Storage, note: Callable[[str], None], seconds: float = PATIENCE_SECONDS) -> None:
        self.storage, self.note, self.seconds = storage, note, seconds

    def __call__(self, operation: Callable[[], T]) -> T:
        """The operation's answer. Raises HarnessError when the storage stays away, or refuses."""
        import sqlalchemy
        from optuna.exceptions import StorageInternalError

        started, wait, told = time.monotonic(), 0.2, False
        while True:
            try:
                with experiments(), _closed_unless_opened():
                    return operation()
            except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
                cause = error.__cause__ if isinstance(error, StorageInternalError) else error
                away = isinstance(cause, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError)
                reason = _reason(cause or error, self.storage.url)
                sqlite = self.storage.url.startswith("sqlite")
                if sqlite:  # a file does not come back, but for another process's lock
                    away = away and "locked" in reason
                spent = time.monotonic() - started
                if not away or spent > self.seconds:
                    what = f"gave no answer for {spent:.0f} s" if away else "refused"
                    hint = f"{FREE} then " if sqlite and not away else ""
                    raise HarnessError(
                        f"the storage {self.storage.shown} {what}: {reason}; what is finished is kept: {hint}run the same "
                        "command again to continue"
                    ) from None
            except _FOREIGN as error:
                raise _foreign(error, self.storage.shown, self.storage.url) from error
            if not told:
                told = True
                self.note(f"the storage {self.storage.shown} does not answer ({reason}); trying again")
            time.sleep(min(wait, 10.0))
            wait *= 1.7
