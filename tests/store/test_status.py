"""Where a run stands, at every stage of its life, and for records that are damaged."""

from __future__ import annotations

from pathlib import Path

from fake_store import cell, without_sync, write_run

from harness.store import Folder, Store
from harness.store.status import scan


def stages(root: Path) -> dict[str, tuple[str, str]]:
    """Run id -> status and reason."""
    return {one.where: (one.status, one.reason) for one in scan(Store(root))}


def test_a_run_passes_through_its_stages(tmp_path: Path) -> None:
    store, made = Store(tmp_path), cell("base", 0, "tiny")
    assert stages(tmp_path) == {}
    with without_sync():
        store.training(made).write("experiment.json", made.record())
        assert stages(tmp_path) == {made.run_id: ("unfinished", "training has begun")}
        store.training(made).write("training.json", {})
        assert stages(tmp_path) == {made.run_id: ("trained", "trained, but not tested")}
        store.run(made).write("experiment.json", made.record())
        assert stages(tmp_path) == {made.run_id: ("trained", "no result yet")}
        store.run(made).write("failure.json", {"error": "it broke", "attempts": 2})
        assert stages(tmp_path) == {made.run_id: ("failed", "it broke")}
        write_run(tmp_path, made)
        assert stages(tmp_path) == {made.run_id: ("finished", "")}
        store.set_aside(store.run(made))
        (superseded, under_way) = scan(store)
    assert (superseded.status, superseded.superseded) == ("finished", True)
    assert (under_way.where, under_way.status, under_way.superseded) == (made.run_id, "trained", False)


def test_what_is_damaged_is_named_and_hides_nothing(tmp_path: Path) -> None:
    store, first, second = Store(tmp_path), cell("base", 0, "tiny"), cell("base", 1, "tiny")
    with without_sync():
        write_run(tmp_path, first)
        (store.run(first).path / "result.json").write_bytes(b"{")
        Folder(store.training(second).path).write("experiment.json", {})
        (store.training(second).path / "experiment.json").write_bytes(b"{")
    found = stages(tmp_path)
    assert {where: status for where, (status, _) in found.items()} == {
        first.run_id: "damaged",
        f"trainings/{second.training_key}": "damaged",
    }
    assert all("truncated" in reason for _, reason in found.values())
