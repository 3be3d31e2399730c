"""The report's folder: what is refused, what is written again alike, and names that are hostile."""

from __future__ import annotations

import os
from pathlib import Path

import fake_store
import pytest
from filled_stores import VARIANTS, fill

from harness.errors import HarnessError, RequestError
from harness.store import Folder, Store
from reports import ablation
from reports.analysis.reading import DATA_FILE, read_document


def test_no_runs_is_a_clear_request(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no finished run.*harness ablate"):
        ablation.build(Store(tmp_path / "nothing"), VARIANTS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_failed_runs_say_why(tmp_path: Path) -> None:
    Folder(tmp_path / "runs" / "0123456789abcdef").write(
        "failure.json", {"variant": "base", "seed": 1, "error": "no memory"}
    )
    with pytest.raises(RequestError, match="0123456789abcdef failed: no memory"):
        ablation.build(Store(tmp_path), VARIANTS, tmp_path / "out")


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_margin_must_be_positive(tmp_path: Path, margin: float) -> None:
    fill(tmp_path, seeds=(0,))
    with pytest.raises(RequestError, match="margin"):
        ablation.build(Store(tmp_path), VARIANTS, tmp_path / "out", margin=margin)


SCRIPT = "<script>alert(1)</script>"


def test_hostile_names_come_out_as_text(tmp_path: Path) -> None:
    names = [SCRIPT, "x" * 10_000, "$\\frac{1}{0}$ & % _ |\n# \u202e\u0000 漢字", "attention+" + SCRIPT]
    with fake_store.without_sync():
        fill(tmp_path / "store", names=("base",))
        for name in names:
            for run_id in fill(tmp_path / "store", names=("attention",)):
                (moved := tmp_path / "store" / "runs" / _other_id(run_id, name)).mkdir()
                for record in ("experiment.json", "result.json", "environment.json"):
                    body = Folder(tmp_path / "store" / "runs" / run_id).read(record)
                    more = {} if record == "environment.json" else {"run_id": moved.name, "variant": name}
                    Folder(moved).write(record, body | more)
    out = tmp_path / "out"
    paths = ablation.build(Store(tmp_path / "store"), VARIANTS, out)
    html = (out / "index.html").read_text()
    assert SCRIPT not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "(10,000 characters)" in html
    assert "x" * 1000 not in html
    assert all(path.exists() for path in paths)
    assert SCRIPT not in "".join(path.read_text() for path in paths if path.suffix == ".svg")
    assert "not installed" in html
    assert len({run.variant for run in read_document(out / DATA_FILE).runs}) == 6


def _other_id(run_id: str, name: str) -> str:
    import hashlib

    return hashlib.sha256((run_id + name).encode()).hexdigest()[:16]


@pytest.mark.usefixtures("plots_not_drawn")
def test_builds_again_into_the_same_folder_and_alike(tmp_path: Path) -> None:
    fill(tmp_path / "store")
    out = tmp_path / "out"
    paths = ablation.build(Store(tmp_path / "store"), VARIANTS, out)
    before = {path: path.read_bytes() for path in paths}
    assert ablation.build(Store(tmp_path / "store"), VARIANTS, out) == paths
    assert {path: path.read_bytes() for path in paths} == before


@pytest.mark.usefixtures("plots_not_drawn")
def test_does_not_touch_foreign_data(tmp_path: Path) -> None:
    fill(tmp_path / "store")
    out = tmp_path / "out"
    out.mkdir()
    (out / DATA_FILE).write_text('{"mine": 1}')
    with pytest.raises(HarnessError, match=r"no report wrote .*data\.json|data\.json: no report wrote"):
        ablation.build(Store(tmp_path / "store"), VARIANTS, out)
    assert (out / DATA_FILE).read_text() == '{"mine": 1}'
    assert [path.name for path in out.iterdir()] == [DATA_FILE]


@pytest.mark.usefixtures("plots_not_drawn")
def test_out_that_is_a_file_or_cannot_be_made(tmp_path: Path) -> None:
    fill(tmp_path / "store", seeds=(0,))
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/report")):
        with pytest.raises(HarnessError, match="cannot write"):
            ablation.build(Store(tmp_path / "store"), VARIANTS, out)


@pytest.mark.usefixtures("plots_not_drawn")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_out(tmp_path: Path) -> None:
    fill(tmp_path / "store", seeds=(0,))
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    with pytest.raises(HarnessError, match="cannot write"):
        ablation.build(Store(tmp_path / "store"), VARIANTS, out)
