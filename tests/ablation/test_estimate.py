"""What a plan will cost, before it is run."""

from __future__ import annotations

from pathlib import Path

from commands import Command

QUICK = ("training.steps=2", "training.validate_every=2", "data.test_sequences=2", "data.validation_sequences=2")


def test_a_dry_run_shows_cells_and_an_estimate_and_writes_nothing(tmp_path: Path, harness: Command) -> None:
    settings = [word for setting in QUICK for word in ("--set", setting)]
    store = tmp_path / "store"
    words = ["ablate", "--preset", "tiny", "--plan", "base,curriculum,tta", "--seeds", 2, "--store", store, *settings]
    answer = harness(*words, "--dry-run", "--json")
    assert answer.code == 0, answer.err
    document = answer.document
    assert [cell["status"] for cell in document["cells"]] == ["waiting"] * 6
    assert document["estimate"]["cells"] == 6
    assert document["estimate"]["trainings"] == 4
    assert document["estimate"]["seconds"] > 0
    assert document["estimate"]["memory_bytes"] > 0
    assert not store.exists()
