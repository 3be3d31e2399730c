"""Secrets are masked wherever text leaves the process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commands import Command

from harness.store import Folder
from harness.system import secrets as masking
from harness.system.secrets import redact

CANARIES = {
    "HF_TOKEN": "canary-of-hf-0001",
    "AWS_SECRET_ACCESS_KEY": "canary/of+aws=0002",
    "PGPASSWORD": "canary of pg 0003",
    "WANDB_API_KEY": "canary-of-wandb-0004",
}
URL_CANARIES = ("canary5", "canary6", "canary%2F7", "canary/7")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:canary5@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("at mysql://me:can@ry:5@host/db, then", "at mysql://me:***@host/db, then"),
        ("'https://:canary5@host/x'", "'https://:***@host/x'"),
        ("sqlite:///x.db?token=canary5&cache=shared", "sqlite:///x.db?token=***&cache=shared"),
        ("https://host/x?a=1&sslpassword=canary5", "https://host/x?a=1&sslpassword=***"),
        ("https://host/x and me@host", "https://host/x and me@host"),
        ("12:30 user:pass no url", "12:30 user:pass no url"),
    ],
)
def test_urls_lose_their_secrets_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_values_of_the_environment_that_are_named_like_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME_TOWN", "harmless-value")
    masking._of_environment.cache_clear()
    try:
        told = redact(" ".join([*CANARIES.values(), "harmless-value"]))
    finally:
        masking._of_environment.cache_clear()
    assert told == "*** *** *** *** harmless-value"


def test_a_record_holds_no_secret_and_any_text(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "runs" / ("a" * 16))
    folder.write("x.json", {"error": "no postgresql://me:canary5@host/db", "command": ["--digits", "\udcff/x"], "name": "é"})
    assert folder.read("x.json") == {
        "error": "no postgresql://me:***@host/db",
        "command": ["--digits", "\udcff/x"],
        "name": "é",
    }
    assert "canary" not in (folder.path / "x.json").read_text()


LEAKY = """
import os
from harness.studies import Float, Study
def settings(params, experiment):
    if params["clip"] != 1.0:
        raise RuntimeError("leaked " + " ".join(os.environ[name] for name in %r))
    return {"training.clip_norm": params["clip"]}
STUDY = Study(
    name="leaky", summary="quotes the environment", owns=("training.clip_norm",),
    space=lambda experiment, options: {"clip": Float(low=0.5, high=2.0)}, to_settings=settings,
)
"""


def test_nothing_that_a_command_leaves_behind_holds_a_secret(
    harness: Command, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaky.py").write_text(LEAKY % (tuple(CANARIES),))
    for name, value in (CANARIES | {"HARNESS_STORE": str(tmp_path / "store")}).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "store").mkdir()
    storage = f"sqlite:///file:{tmp_path}/store/s.sqlite3?cache=private&token=canary6&uri=true"
    wrong = "postgresql+psycopg://me:canary5@127.0.0.1:1/db?sslpassword=canary%2F7"
    tiny = ["--preset", "tiny", "--no-plugins", "--set", "training.steps=2"]
    commands = [
        ["study", "leaky", "--plugin", str(tmp_path / "leaky.py"), *tiny, "--max-failures", "1", "--storage", storage],
        ["study", "loss-weights", "--preset", "tiny", "--trials", "1", f"--storage={wrong}"],
        ["ablate", "--plan", "base,tta", "--seeds", "1", *tiny, "--max-hours", "1e-9", "--set", f"data.evaluation={wrong}"],
        ["ablate", "--plan", "base,tta", "--seeds", "1", *tiny, "--max-hours", "1e-9", "--plugin", storage],
        ["ablate", "--plan", "base,tta", "--seeds", "1", *tiny, "--max-hours", "1e-9"],
        ["run", *tiny],
        ["run", *tiny, "--config", wrong],
        ["report"],
        ["list", "runs", "--json"],
    ]
    said = ""
    masking._of_environment.cache_clear()
    try:
        for words in commands:
            monkeypatch.setattr(sys, "argv", ["harness", *words])
            answer = harness(*words)
            said += answer.out + answer.err
            assert "Traceback" not in answer.err, answer.err
    finally:
        masking._of_environment.cache_clear()
    assert "leaked ***" in said
    assert "me:***@127.0.0.1" in said
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert {"index.html", "s.sqlite3"} < {path.name for path in files}
    assert any("token=***" in path.read_text() for path in (tmp_path / "store" / "studies").glob("*.json"))
    for canary in (*CANARIES.values(), *URL_CANARIES):
        assert canary not in said
        assert not [path for path in files if canary.encode() in path.read_bytes()]
