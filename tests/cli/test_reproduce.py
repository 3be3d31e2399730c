"""`harness reproduce`: a published bundle trained again, bit for bit, and a wrong figure found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from commands import Command
from fake_store import write_plan

from harness.runs.reproduce import BITS
from harness.runs.request import Request
from harness.store import Folder, Store
from harness.store.bundle import export_bundle, plan_name
from harness.variant import Variants


def test_a_bundle_trains_again_bit_for_bit_and_a_wrong_figure_is_found(
    store: Path, tmp_path: Path, harness: Command, quick: None
) -> None:
    cells = [(name, Request(preset="tiny").cell(Variants(third_party=False), name, 0)[0]) for name in ("base", "tta")]
    write_plan(store, "add-one", cells)
    bundle = export_bundle(Store(store), plan_name(Store(store), ""), tmp_path / "results.zip").path
    fresh = tmp_path / "fresh"
    answer = harness("reproduce", bundle, "--store", fresh, "--json")
    assert answer.code == 0, answer.err
    assert answer.document["counts"] == {BITS: 2}
    for one in answer.document["runs"]:
        there, here = (json.loads((root / "runs" / one["run_id"] / "result.json").read_text()) for root in (store, fresh))
        assert there["metrics_per_frame"] == here["metrics_per_frame"]
        assert {figure["metric"]: figure["published"] for figure in one["figures"]} == there["metrics"]
    # Another figure in the records of one run: that one alone does not agree; what is trained is not trained again.
    run = Folder(store / "runs" / cells[0][1].run_id)
    result = run.read("result.json")
    run.write("result.json", result | {"metrics": result["metrics"] | {"mse": 0.5}})
    answer = harness("reproduce", store, "--store", fresh, "--where", "variant=base")
    assert answer.code == 1
    lines = {line.split()[2]: line for line in answer.out.splitlines()[1:-1]}
    assert lines["mse"].split()[3] == "0.5"
    assert lines["mse"].endswith("  not")
    assert lines["ssim"].endswith("  bit for bit")
    assert answer.out.splitlines()[-1] == "1 run: 1 not"
    shutil.rmtree(fresh)
    assert "no finished run in" in harness("reproduce", bundle, "--store", fresh, "--where", "seed=7").error
    assert "name another folder" in harness("reproduce", store, "--store", store).error
