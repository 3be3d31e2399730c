"""Stores are merged without losing or overwriting anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command
from half_plans import content, made

from harness.errors import RequestError
from harness.store import Folder, Store
from harness.store.merge import merge


def test_a_merge_brings_what_is_missing_and_only_that(tmp_path: Path, harness: Command) -> None:
    a, b = made(tmp_path / "a", range(2)), made(tmp_path / "b", range(1, 3))
    before, other = content(a), content(b)
    document = harness("store", "merge", a, b, "--json").document
    after = content(a)
    assert {path for path in after if not path.startswith("plans")} == {
        path for path in {**before, **other} if not path.startswith("plans")
    }
    assert all(after[path] == before[path] for path in before if not path.startswith("plans"))
    assert content(b) == other
    assert sorted(one.partition("/")[0] for one in document["copied"]) == ["plans", *["runs"] * 2, *["trainings"] * 2]
    (plan,) = (a / "plans").iterdir()
    assert {one["status"] for one in Folder(a / "plans").read(plan.name)["cells"]} == {"finished"}
    again = harness("store", "merge", a, b, "--json").document
    assert (again["copied"], again["kept"], again["left"]) == ([], [], {})
    assert not [one for one in (a / "runs").iterdir() if one.name.startswith(".")]


def test_different_results_of_one_run_are_named_and_kept(tmp_path: Path) -> None:
    a, b = made(tmp_path / "a", range(1)), made(tmp_path / "b", range(1), 0.1)
    before = content(a)
    done = merge(Store(a), Store(b))
    assert len([one for one in done.kept if one.startswith("runs/")]) == 2
    assert content(a) == before


def test_damage_does_not_travel_and_one_store_is_not_two(tmp_path: Path) -> None:
    a, b = tmp_path / "a", made(tmp_path / "b", range(1))
    damaged = next((b / "runs").iterdir())
    (damaged / "environment.json").write_text("{}")
    done = merge(Store(a), Store(b))
    assert "damaged" in done.left[f"runs/{damaged.name}"]
    assert not (a / "runs" / damaged.name).exists()
    with pytest.raises(RequestError, match="are one store; name two"):
        merge(Store(b), Store(b))
    with pytest.raises(RequestError, match="there is no store"):
        merge(Store(b), Store(tmp_path / "typo"))


def test_an_unfinished_run_gives_way_and_is_kept(tmp_path: Path) -> None:
    a, b = made(tmp_path / "a", range(1)), made(tmp_path / "b", range(1))
    run = next((a / "runs").iterdir())
    (run / "result.json").unlink()
    merge(Store(a), Store(b))
    assert (run / "result.json").read_bytes() == (b / "runs" / run.name / "result.json").read_bytes()
    assert (run.parent / f"{run.name}~1").is_dir()
