"""`harness doctor` of this machine, plugins and store."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command


def test_doctor_finds_nothing_wrong_with_a_sound_store(harness: Command, unharmed: Path) -> None:
    answer = harness("doctor", "--store", unharmed, "--json")
    assert (answer.code, answer.document["ok"]) == (0, True)
    assert [check["name"] for check in answer.document["checks"]] == [
        "python", "torch", "digits", "variants", "store", "records",
    ]  # fmt: skip
    text = harness("doctor", "--store", unharmed)
    assert all(line.startswith("ok ") for line in text.out.splitlines())


def test_doctor_names_digits_that_are_missing(harness: Command, tmp_path: Path) -> None:
    answer = harness("doctor", "--store", tmp_path, "--digits", tmp_path / "none")
    assert answer.code == 1
    assert f"FAIL  digits: the digits folder {tmp_path / 'none'} does not exist" in answer.out


def test_doctor_names_broken_plugins_and_a_disk_that_is_nearly_full(
    harness: Command, tmp_path: Path, fake_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_distribution("acme", "1/0", {"harness.variants": {"mine": "acme:MINE"}})
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 2**20))  # type: ignore[attr-defined]  # what disk_usage gives has no public name
    answer = harness("doctor", "--store", tmp_path, "--json")
    assert answer.code == 1
    wrong = {check["name"]: check["finding"] for check in answer.document["checks"] if not check["ok"]}
    assert set(wrong) == {"variants", "store"}
    assert "mine of acme 1.0: ZeroDivisionError" in wrong["variants"]
    assert "has 1 MiB free" in wrong["store"]
