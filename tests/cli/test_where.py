"""Conditions of `--where`: read without evaluating anything, and answered with the place of the mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from listed_stores import write_two_variants

from harness.cli import listing
from harness.cli.where import parse_where, resolve, short
from harness.errors import RequestError
from harness.store import Store, index


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_two_variants(tmp_path_factory.mktemp("list") / "store")


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


KNOWN = ["run_id", "seed", "training.optimizer.lr", "training.optimizer.others.lr", "loss.ssim.start", "data.canvas"]


@pytest.mark.parametrize("path", KNOWN)
def test_the_shortest_name_of_a_path_is_one_that_finds_it(path: str) -> None:
    assert resolve(short(path, KNOWN), KNOWN, "--columns") == path
    assert resolve(path, KNOWN, "--columns") == path


def test_a_short_name_is_no_shorter_than_it_may_be() -> None:
    assert short("data.canvas", KNOWN) == "canvas"
    assert short("training.optimizer.lr", KNOWN) == "optimizer.lr"
    assert short("loss.seed", [*KNOWN, "loss.seed"]) == "loss.seed", "a column has that name"


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ("x=1", 1.0, True),
        ("x=1", "1.0", False),
        ("x=1e3", 1000, True),
        ("x=true", True, True),
        ("x=none", None, True),
        ("x!=none", 0, True),
        ("x<1", None, False),
        ("x~b", "abc", True),
        ("x~b", None, False),
        ("x='a b'", "a b", True),
        ("not x=1 or x=1", 1, True),
    ],
)
def test_values_compare_as_what_they_are(condition: str, value: object, holds: bool) -> None:
    assert parse_where(condition, ["x"])({"x": value}) is holds
