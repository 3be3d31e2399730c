"""`harness list runs` filters without evaluating anything, shows the settings that differ, and reads each record once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import platformdirs
import pytest
from commands import Command
from fake_store import cell, without_sync, write_run

from harness.cli import listing
from harness.cli.where import parse_where
from harness.errors import RequestError
from harness.store import Folder, Store, index

ARMS = ("base", "attention")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants with five seeds, and base with another rate."""
    root = tmp_path_factory.mktemp("list") / "store"
    with without_sync():
        for seed in range(5):
            for name in ARMS:
                write_run(root, cell(name, seed, "tiny"))
        write_run(root, cell("base", 0, "tiny", {"training.optimizer.lr": 0.02, "training.batch_size": 2}))
    return root


CONDITIONS = {
    "variant=attention and seed<3": lambda row: row["variant"] == "attention" and row["seed"] < 3,
    "seed>=2 or optimizer.lr=2e-2": lambda row: row["seed"] >= 2 or row["training.optimizer.lr"] == 0.02,
    "not variant = base and (seed=0 or seed=4)": lambda row: row["variant"] != "base" and row["seed"] in (0, 4),
    "architecture.bottleneck!=none": lambda row: row["variant"] == "attention",
    "bottleneck.heads<=4": lambda row: row["variant"] == "attention",
    "variant~ten": lambda row: row["variant"] == "attention",
    "variant='base' and batch_size == 2": lambda row: row["training.batch_size"] == 2,
    "preset=cpu": lambda row: False,
}


@pytest.mark.parametrize("where", CONDITIONS)
def test_conditions_choose_runs(where: str, root: Path) -> None:
    flat = {row["run_id"]: {**row["settings"], **row} for row in index.rows(Store(root))}
    expected = [name for name, row in flat.items() if CONDITIONS[where](row)]
    assert [row["run_id"] for row in listing.runs(root, where)] == expected


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("variant", "at character 8: expected =, !=, <, <=, >, >= or ~ after variant, found the end"),
        ("variant=base seed=1", "at character 14: expected and, or, or the end, found 'seed=1'"),
        ("(seed=1", "expected ')', found the end"),
        ("seed=", "expected a value, found the end"),
        ("variant='base", "a quotation without an end"),
        ("sead=1", "no column or setting 'sead'; did you mean 'seed'?"),
        ("start=0.1", "'start' may be "),
        ("seed<many", "--where seed<'many': < compares numbers; use = or != for texts"),
        ("variant<3", "variant is text ('"),
        ("__import__('os')=1", "no column or setting '__import__'"),
        ("not " * 40 + "seed=1", "nests conditions more than 16 deep"),
        ("(" * 4097, "has 4,097 characters; at most 4,096 are accepted"),
    ],
)
def test_a_condition_that_cannot_be_read_says_where(where: str, words: str, root: Path) -> None:
    with pytest.raises(RequestError) as error:
        listing.runs(root, where)
    assert words in str(error.value)


def test_a_call_is_one_value() -> None:
    meets = parse_where("(variant=attention(heads=2, blocks=1) or variant=x)", ["variant"])
    assert meets({"variant": "attention(heads=2, blocks=1)"})
    assert not meets({"variant": "attention"})


def test_runs_of_one_variant_show_the_settings_that_differ(root: Path, harness: Command) -> None:
    shown = harness("list", "runs", "--store", root, "--where", "variant=base and seed=0")
    header, *rows = (line.split() for line in shown.out.splitlines())
    assert header[-2:] == ["batch_size", "lr"]
    assert sorted(row[-1] for row in rows) == ["0.003", "0.02"]
    # What tells one variant from another is its name; no column repeats it.
    assert "batch_size" not in harness("list", "runs", "--store", root, "--where", "optimizer.lr!=0.02").out


def test_another_component_shows_by_its_name_alone(tmp_path: Path) -> None:
    with without_sync():
        for optimizer in ("adamw", "muon"):
            write_run(tmp_path, cell("base", 0, "tiny", {"training.optimizer": optimizer}))
    rows = listing.runs(tmp_path)
    assert sorted(row["settings"]["training.optimizer"] for row in rows) == ["adamw", "muon"]
    assert all("training.optimizer.momentum" not in row["settings"] for row in rows)


def test_columns_are_chosen(root: Path, harness: Command) -> None:
    words = ("list", "runs", "--store", root, "--columns", "seed, optimizer.lr,ssim", "--where", "optimizer.lr=0.02")
    (row,) = harness(*words, "--json").document["runs"]
    assert list(row) == ["run_id", "seed", "training.optimizer.lr", "ssim"]
    assert row["training.optimizer.lr"] == 0.02
    assert "no column or setting 'sed'; did you mean 'seed'?" in harness(*words[:4], "--columns", "sed").error
    assert "choose among runs" in harness("list", "variants", "--where", "seed=1").error
    assert harness(*words[:4], "--where", "seed=99").out == f"no runs in {root} that meet --where 'seed=99'\n"


def test_a_large_store_is_read_once_and_what_changed_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second listing reads no record; a changed, a new and a removed run are seen, and a lost cache changes nothing."""
    store = Store(Path(shutil.copytree(root, tmp_path / "store")))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache")
    plain = list(index.rows(store))
    monkeypatch.setattr(index, "MANY", 1)
    assert list(index.rows(store)) == plain
    (cache,) = (tmp_path / "cache/stores").iterdir()

    read: list[str] = []
    real = index.status.of_run
    monkeypatch.setattr(index.status, "of_run", lambda store, run: read.append(run.run_id) or real(store, run))
    assert list(index.rows(store)) == plain
    assert read == []

    changed, removed, damaged = (store.root / "runs" / plain[place]["run_id"] for place in range(3))
    result = json.loads((changed / "result.json").read_text())
    Folder(changed).write("result.json", {name: one for name, one in result.items() if name != "sha256"} | {"params": 7})
    shutil.rmtree(removed)
    (damaged / "result.json").write_text("{")
    made = write_run(store.root, cell("base", 77, "tiny"))
    rows = {row["run_id"]: row for row in index.rows(store)}
    assert sorted(read) == sorted([changed.name, damaged.name, made])
    assert rows[changed.name]["params"] == 7
    assert rows[damaged.name]["status"] == "damaged"
    assert rows[made]["seed"] == 77
    assert rows[removed.name]["status"] == "trained"  # its training is there
    assert rows.keys() == {one["run_id"] for one in plain} | {made}

    cache.write_text("[1, 2")
    assert {row["run_id"]: row for row in index.rows(store)} == rows


def test_a_record_whose_names_are_no_text_is_a_damaged_row(tmp_path: Path) -> None:
    with without_sync():
        write_run(tmp_path, cell("base", 0, "tiny"))
        write_run(tmp_path, cell("attention", 0, "tiny"))
    folder = Folder(tmp_path / "runs" / cell("base", 0, "tiny").run_id)
    folder.write("experiment.json", folder.read("experiment.json") | {"preset": [["tiny"]]})
    status = {row["run_id"]: row["status"] for row in listing.runs(tmp_path)}
    assert status == {cell("base", 0, "tiny").run_id: "damaged", cell("attention", 0, "tiny").run_id: "finished"}
