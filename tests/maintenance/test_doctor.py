"""Whether all is here that a run needs: each check with its finding, and one that fails hides no other."""

from __future__ import annotations

from pathlib import Path

from harness.maintenance.doctor import examine
from harness.store import Store

NAMES = ["python", "torch", "digits", "variants", "store", "records"]


def findings(store: Path, digits: Path | None = None) -> dict[str, tuple[bool, str]]:
    rows = examine(store, digits, third_party=False)
    assert [row["name"] for row in rows] == NAMES
    return {row["name"]: (row["ok"], row["finding"]) for row in rows}


def test_a_new_store_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    found = findings(tmp_path / "new" / "store")
    assert all(ok for ok, _ in found.values()), found
    assert "embedded, 4,000 train, 500 validation, 500 test" in found["digits"][1]
    assert "attention" in found["variants"][1].split(", ")
    assert "writable" in found["store"][1]
    assert found["records"][1] == "0 runs, nothing damaged or left over"
    assert not [path for path in (tmp_path / "new" / "store").rglob("*") if path.is_file()]


def test_what_fails_is_said_beside_what_does_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = findings(tmp_path / "file", tmp_path / "nowhere")
    assert not found["store"][0]
    assert "cannot be written" in found["store"][1]
    assert "choose another with --store" in found["store"][1]
    assert not found["digits"][0]
    assert "does not exist" in found["digits"][1]
    assert found["torch"][0]
    assert found["variants"][0]


def test_a_damaged_record_is_named_with_the_command_that_repairs(store: Path) -> None:
    run = next(Store(store).runs())
    (run.path / "result.json").write_text("{")
    ok, finding = findings(store)["records"]
    assert not ok
    assert f"runs/{run.run_id}" in finding
    assert "`harness doctor --repair`" in finding
