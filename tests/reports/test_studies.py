"""The report's part on studies says what the study's record says, and survives records that are not whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_cells import confirmed_study

from harness.store import Folder, Store
from harness.variant import Variants
from reports import ablation
from reports.analysis.reading import read_store
from reports.figures.studies import importances
from reports.page import Section
from reports.pages import studies

SPACE = {
    "lr": {"kind": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "batch": {"kind": "int", "low": 2, "high": 64, "log": False},
}


def trial(number: int, lr: float, batch: int, value: float | None, **changes: Any) -> dict[str, Any]:
    made = {"number": number, "state": "COMPLETE", "arm": None, "params": {"lr": lr, "batch": batch}, "value": value}
    return made | {"run_ids": [f"{number:016x}"]} | changes


def record(**changes: Any) -> dict[str, Any]:
    trials = [trial(n, 10 ** (-3 + 0.2 * n), 2 + 7 * (n % 4), 0.4 + 0.01 * n) for n in range(8)]
    trials.append(trial(8, 1e-2, 8, 0.1, state="PRUNED"))
    made = {
        "study": "learning-rate",
        "variant": "base",
        "preset": "tiny",
        "command": "harness study learning-rate",
        "space": SPACE,
        "counts": {"complete": 8, "pruned": 1},
        "trials": trials,
        "arms": [{"name": "article", "params": {"lr": 3e-3, "batch": 32}, "value": 0.41, "reference": True, "note": ""}],
        "best": {"number": 7, "params": trials[7]["params"], "value": 0.47, "arm": None},
        "confirm": None,
    }
    return made | changes


def write(root: Path, name: str = "one", **changes: Any) -> list[Section]:
    Folder(root / "studies").write(f"{name}.json", record(**changes))
    return studies.sections(Store(root))


def test_every_trial_and_arm_stands_in_a_table_with_its_value(tmp_path: Path) -> None:
    (section,) = write(tmp_path)
    trials, arms = section.tables
    assert [row[0].text for row in trials.rows] == [str(n) for n in range(9)]
    value = trials.columns.index("validation SSIM")
    assert [row[value].sort for row in trials.rows] == [trial["value"] for trial in record()["trials"]]
    assert [row[0].text for row in arms.rows] == ["article"]
    assert "trial 7" in " ".join(section.paragraphs)


def test_the_best_setting_is_said_with_what_it_sets_and_how_far_it_is_from_the_arms(tmp_path: Path) -> None:
    best = {"number": 7, "params": {"lr": 0.02}, "value": 0.47, "arm": None, "settings": {"training.max_lr": 0.02, "x.y": 1}}
    (section,) = write(tmp_path, best=best, owns=["training.max_lr"])
    text = " ".join(section.paragraphs)
    assert "lr 0.02, that is training.max_lr 0.02, with 0.4700: +0.0600 over article (0.4100)" in text
    assert "x.y" not in text


def test_two_objectives_have_seconds_and_a_front(tmp_path: Path) -> None:
    trials = [trial(n, 1e-3, 4, 0.4 + 0.01 * n, values=[0.4 + 0.01 * n, 20.0 + n]) for n in range(3)]
    (section,) = write(tmp_path, trials=trials, objectives=["ssim", "seconds"], front=[0, 2])
    column = section.tables[0].columns.index("seconds")
    assert [row[column].sort for row in section.tables[0].rows] == [20.0, 21.0, 22.0]
    assert "training seconds: 0, 2." in " ".join(section.paragraphs)


def test_studies_beyond_the_most_are_named(tmp_path: Path) -> None:
    for number in range(studies.MOST_STUDIES + 1):
        Folder(tmp_path / "studies").write(f"study-{number:02}.json", record(trials=[]))
    found = studies.sections(Store(tmp_path))
    assert len(found) == studies.MOST_STUDIES + 1
    assert found[-1].title == "Studies left out"
    assert f"study-{studies.MOST_STUDIES:02}" in found[-1].paragraphs[0]


def test_trials_that_were_only_trained_are_no_troubles(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in ("a" * 16, "b" * 16):
        Folder(tmp_path / "runs" / key).write("experiment.json", {"variant": "base", "seed": 0})
    assert {one.where for one in read_store(store).troubles} == {"a" * 16, "b" * 16}
    write(tmp_path, trials=[trial(0, 1e-3, 4, 0.5, run_ids=["a" * 16])])
    assert {one.where for one in read_store(store).troubles} == {"b" * 16}


def test_a_study_with_two_parameters_has_history_slices_contour_and_importance(tmp_path: Path) -> None:
    (section,) = write(tmp_path)
    kinds = {figure.id.rsplit("-", 1)[1] for figure in section.figures}
    assert kinds == {"history", "slices", "contour", "importance"}
    assert all(figure.alt and figure.png.startswith(b"\x89PNG") and "<svg" in figure.svg for figure in section.figures)


def test_the_parameter_that_decides_is_the_important_one() -> None:
    trials = [trial(n, 10 ** (-4 + 0.3 * (n % 10)), 2 + 5 * (n // 4), 0.3 + 0.02 * (n % 10)) for n in range(20)]
    shares = importances(trials, SPACE)
    assert shares["lr"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_an_unconfirmed_best_is_said_to_be_flattered_and_a_confirmed_one_has_its_verdict(tmp_path: Path) -> None:
    (section,) = write(tmp_path)
    assert "Not confirmed" in section.paragraphs[-1]
    made = confirmed_study(tmp_path / "lab")["confirm"]
    (section,) = write(tmp_path, confirm=made)
    assert section.paragraphs[-1].endswith(made["verdict"])


def test_a_confirmed_study_shows_the_settings_and_the_scores_that_its_record_has(tmp_path: Path) -> None:
    made = confirmed_study(tmp_path)
    (section,) = studies.sections(Store(tmp_path))
    confirmed = next(table for table in section.tables if table.id == "study-1-confirmed")
    assert confirmed.columns == ("setting", "parameters", "test SSIM, mean", "seed 1", "seed 2", "seed 3")
    x = f"{made['best']['params']['x']:.4g}"
    assert [(row[0].text, row[1].text) for row in confirmed.rows] == [
        ("chosen", f"stub.x {x}"), ("low", "stub.x 0"), ("middle", "stub.x 0.5"),
    ]  # fmt: skip
    for row, recorded in zip(confirmed.rows, made["confirm"]["rows"], strict=True):
        assert [cell.sort for cell in row[2:]] == [recorded["mean"], *recorded["values"].values()]
    assert confirmed.note == made["confirm"]["verdict"] == section.paragraphs[-1].partition(": ")[2]


@pytest.mark.parametrize("changes", [{"trials": []}, {"trials": [trial(0, 1e-3, 4, None)], "best": None}, {"space": {}}])
def test_few_trials_draw_nothing_that_they_cannot_support(tmp_path: Path, changes: dict[str, Any]) -> None:
    (section,) = write(tmp_path, **changes)
    assert not {figure.id.rsplit("-", 1)[1] for figure in section.figures} & {"contour", "importance"}


def test_hostile_and_broken_records_are_named_and_stop_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a", study="<script>alert(1)</script>")
    write(tmp_path, "b", trials="nonsense")
    (tmp_path / "studies" / "c.json").write_text("{")
    sections = studies.sections(Store(tmp_path))
    assert len(sections) == 3
    assert sum("cannot be read" in section.title for section in sections) == 2
    paths = ablation.build(Store(tmp_path), Variants(), tmp_path / "out")
    page = paths[0].read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_store_with_studies_and_no_tested_run_has_a_page(tmp_path: Path) -> None:
    write(tmp_path)
    paths = ablation.build(Store(tmp_path), Variants(), tmp_path / "out")
    assert "Study learning-rate" in paths[0].read_text()
    assert any(path.suffix == ".csv" for path in paths)
