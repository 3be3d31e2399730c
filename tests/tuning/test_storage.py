"""Opening a storage shows no password, and leaves nothing open when it fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.system.secrets import public_url, without_secrets
from harness.tuning.database import NAME
from harness.tuning.storage import open_storage


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:s3cr3t@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://me:a@b:c/d?e@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:s3cr3t@host/db", "postgresql://:***@host/db"),
        ("postgresql://me@host/db?password=s3cr3t&sslmode=require", "postgresql://me@host/db?password=***&sslmode=require"),
        ("postgres//me:s3cr3t@host/db", "***"),
        ("me:s3cr3t@host", "me:***@host"),
        ("sqlite:////tmp/x.sqlite3", "sqlite:////tmp/x.sqlite3"),
        ("journal:x.log", "journal:x.log"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert public_url(url) == shown or (shown == "***" and "s3cr3t" not in public_url(url))
    told = without_secrets(f"could not connect to {url}: s3cr3t is wrong", url)
    assert shown in told or shown == "***"
    assert "s3cr3t" not in told or "s3cr3t" not in url


def test_a_database_that_is_refused_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_bytes(b"no database\n" * 1000)
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remembered(*args: Any, **words: Any) -> sqlite3.Connection:
        made.append(connect(*args, **words))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", remembered)
    with pytest.raises(HarnessError, match="file is not a database"):
        open_storage(None, tmp_path)
    assert made
    for connection in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("SELECT 1")
