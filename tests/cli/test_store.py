"""`harness store`: what it says of stores merged, bundles imported and runs packed."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command
from fake_store import Fake, cell, without_sync, write_plan, write_run


def made(root: Path, *seeds: int, ssim: float | None = None) -> Path:
    cells = [("base", cell("base", seed, "tiny")) for seed in range(2)]
    with without_sync():
        for _, one in cells:
            if one.seed in seeds:
                write_run(root, one, Fake(ssim=ssim))
        write_plan(root, "base", cells)
    return root


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A plan of two finished runs."""
    return made(tmp_path / "whole", 0, 1)


def test_a_merge_says_what_was_copied_and_names_what_differs(whole: Path, tmp_path: Path, harness: Command) -> None:
    other = made(tmp_path / "other", 0, ssim=0.1)
    answer = harness("store", "merge", other, whole)
    assert answer.code == 0
    assert answer.out.startswith("runs, trainings and plans: 3 copied, ")
    assert answer.out.rstrip().endswith("2 differ, 0 left")
    assert f"runs/{cell('base', 0, 'tiny').run_id}: the stores have different results; this store's was kept" in answer.err


def test_a_bundle_is_named_with_its_digest_and_imported_with_or_without_it(
    whole: Path, tmp_path: Path, harness: Command
) -> None:
    out = tmp_path / "results.zip"
    first, second = harness("store", "export", "--store", whole, "--out", out).out.splitlines()
    assert first.startswith(f"{out}: 2 runs of plan ")
    digest = second.split()[1]
    assert second.endswith(f"harness store import {out} --digest {digest[:16]}")
    unsure = harness("store", "import", out, "--store", tmp_path / "a")
    assert f"digest {digest}; compare it with the one that was published" in unsure.err
    sure = harness("store", "import", out, "--store", tmp_path / "b", "--digest", digest[:16])
    assert (sure.code, sure.err) == (0, "")
    assert sure.out == "runs, trainings and plans: 5 copied, 0 were there, 0 differ, 0 left\n"


def test_packing_says_what_went_where_and_what_stayed(whole: Path, harness: Command) -> None:
    unfinished = cell("base", 0, "tiny").run_id
    (whole / "runs" / unfinished / "result.json").unlink()
    packed = harness("store", "pack", "--store", whole)
    assert packed.code == 0
    assert packed.out.startswith("1 runs and 2 trainings packed: ")
    assert packed.out.rstrip().endswith(f"{whole / 'packs' / '000001.zip'}; 1 left")
    assert f"runs/{unfinished}: " in packed.err
    assert harness("store", "unpack", "--store", whole).out.startswith("1 runs and 2 trainings brought back")
    document = harness("store", "pack", "--store", whole, "--json").document
    assert (document["runs"], document["trainings"], list(document["left"])) == (1, 2, [f"runs/{unfinished}"])
