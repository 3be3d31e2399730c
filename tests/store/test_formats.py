"""A store of every format since the first is read: two cells of preset tiny, one finished, one stopped at step 3 of 4.

`tests/store/formats/<format>` was written by a version of that format and is never written again. Whoever raises FORMAT adds one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from commands import Command

from harness.data.source import open_source
from harness.experiment import Experiment
from harness.maintenance import repair
from harness.options import RunOptions
from harness.store import FORMAT, DamagedRecord, Folder, Store, Training, formats
from harness.system.progress import Silent
from harness.training import loop
from harness.variant import Variants

FORMATS = sorted(Path(__file__).with_name("formats").iterdir())
PUBLISHED = Path(__file__).parents[2] / "docs" / "results" / "2026-11-23-cpu" / "records"


@pytest.fixture(params=FORMATS, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(Path(shutil.copytree(request.param, tmp_path / "old")))


def test_there_is_a_store_of_every_format() -> None:
    assert [path.name for path in FORMATS] == [str(number) for number in range(1, FORMAT + 1)]


def test_all_of_it_is_whole_and_shown(old: Store, harness: Command) -> None:
    assert [one for one in repair.findings(old) if one.kind != "incomplete"] == []
    (run,) = old.runs()
    document = harness("show", run.run_id, "--store", old.root, "--json").document
    assert document["result"]["metrics"]["ssim"] == pytest.approx(0.010714702, abs=1e-6)
    assert [line["step"] for line in document["validation"]] == [2, 4]
    assert harness("report", "--store", old.root).code == 0
    assert old.training_of(run).check(old.training_of(run).read("training.json")).exists()


def test_what_was_under_way_goes_on_and_is_written_in_the_newest_format(old: Store) -> None:
    (folder,) = (one for one in old.trainings() if not (one.path / "training.json").exists())
    record = folder.read("experiment.json")
    experiment = Experiment.from_dict(record["experiment"], Variants(third_party=False).components.find)
    source = open_source(experiment.data, None)
    resumed: list[int] = []

    class Watched(Silent):
        def update(self, status: object) -> None:
            resumed.append(status.step)  # type: ignore[attr-defined]

    summary = loop.fit(experiment, source, Training(folder.path), torch.device("cpu"), Watched(), RunOptions())
    assert (resumed[0], summary["steps"]) == (3, 4)
    assert [line["step"] for line in folder.validations()] == [2, 4]
    assert folder.check_checkpoint("last.safetensors")["format"] == str(FORMAT)


def test_the_published_records_are_read(harness: Command, tmp_path: Path) -> None:
    assert harness("report", "--store", PUBLISHED, "--out", tmp_path / "report").code == 0
    assert not [one for one in repair.findings(Store(PUBLISHED)) if one.kind in ("damaged", "left over")]


def test_a_record_is_upgraded_step_by_step_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path / "runs" / ("a" * 16))
    folder.write("result.json", {"old": 1})
    before = (folder.path / "result.json").read_bytes()
    monkeypatch.setattr(formats, "FORMAT", FORMAT + 2)
    monkeypatch.setitem(formats.UPGRADES, FORMAT, lambda name, body: {"new": body["old"], "of": name})
    monkeypatch.setitem(formats.UPGRADES, FORMAT + 1, lambda name, body: {"newest": body.pop("new")} | body)
    assert folder.read("result.json") == {"newest": 1, "of": "result.json"}
    assert (folder.path / "result.json").read_bytes() == before
    folder.write("result.json", {"newest": 2})
    assert folder.read("result.json") == {"newest": 2}
    monkeypatch.setattr(formats, "FORMAT", FORMAT)
    folder.write("result.json", {"another program": 1})
    monkeypatch.setattr(formats, "FORMAT", FORMAT + 2)
    with pytest.raises(DamagedRecord, match="holds records of another program"):
        folder.read("result.json")
