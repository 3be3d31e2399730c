"""Opening a storage shows no password."""

from __future__ import annotations

import pytest

from harness.system.secrets import public_url, without_secrets


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
