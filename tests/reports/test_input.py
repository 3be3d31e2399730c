"""What the report makes of stores as they are: incomparable, incomplete, damaged, hostile, or empty.

One file, however long: all of its stores are filled, and their pages made, in one way.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import fake_store
import pytest
from fake_store import Fake, cell, write_run

from harness.errors import HarnessError, RequestError
from harness.evaluation.conventions import CONVENTIONS
from harness.store import Folder, Store
from harness.variant import Variants
from harness.version import REVISIONS
from reports import ablation
from reports.analysis import commands, costs, overview
from reports.analysis.reading import DATA_FILE, read_document, read_store
from reports.figures import canvas, sequences
from reports.page import Figure, Page, Table

VARIANTS = Variants(third_party=False)
USUAL = Fake()
RENDERED = ("test_hostile_names_come_out_as_text",)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """Plots are composed but not rendered, where a test does not ask for them."""
    if request.node.name not in RENDERED:
        stub = lambda canvas, id_, title, caption, alt: Figure(id_, title, caption, alt, "<svg/>", b"png")  # noqa: E731
        monkeypatch.setattr(canvas, "save", stub)
    with fake_store.without_sync():
        yield


def fill(root: Path, names=("base", "attention"), seeds=(0, 1, 2), fake: Fake = USUAL, **settings: object) -> list[str]:
    changes = {path.replace("__", "."): value for path, value in settings.items()}
    return [write_run(root, cell(name, seed, settings=changes), fake) for name in names for seed in seeds]


def make(root: Path, margin: float = 0.005) -> Page:
    store = Store(root)
    return ablation.make_page(store, read_store(store), VARIANTS, margin)


def table(page: Page, id_: str) -> Table:
    return next(table for section in page.sections for table in section.tables if table.id == id_)


def ids(page: Page) -> set[str]:
    return {table.id for section in page.sections for table in section.tables}


def column(found: Table, name: str) -> dict[str, str]:
    index = found.columns.index(name)
    return {row[0].text: row[index].text for row in found.rows}


def rewrite(root: Path, run_id: str, record: str = "result.json", /, **fields: object) -> None:
    folder = Folder(root / "runs" / run_id)
    folder.write(record, folder.read(record) | fields)


# --- nothing, or little


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


def test_one_run(tmp_path: Path) -> None:
    fill(tmp_path, names=("attention",), seeds=(7,))
    page = make(tmp_path)
    assert "no finished run of base" in " ".join(page.summary).replace("There is no", "no")
    assert any("harness ablate --plan base --preset cpu --seeds 7," in text for text in page.warnings)
    verdicts = column(table(page, "ablation"), "verdict")
    assert verdicts["attention"] == "undecided: 1 seed, no base to compare with"
    assert column(table(page, "ablation"), "SSIM, 95% interval")["attention"] == "-"


def test_one_seed_gives_no_verdict(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,))
    page = make(tmp_path)
    found = table(page, "ablation")
    assert column(found, "verdict")["attention"] == "undecided (1 of about 3 seeds)"
    assert column(found, "gain, adjusted interval")["attention"] == column(found, "p (Holm)")["attention"] == "-"
    assert any("fewer than 3 seeds" in text for text in page.warnings)
    assert not any("helps" in text or "hurts" in text for text in page.summary)


def test_seeds_that_only_one_side_has_are_named(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",), seeds=(0, 1, 2, 3))
    fill(tmp_path, names=("attention",), seeds=(0, 1, 2))
    page = make(tmp_path)
    assert "3 common seeds" in next(text for text in page.summary if text.startswith("attention"))
    assert any("do not share seeds 3" in text for text in page.warnings)


# --- numbers that are none


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_run_without_finite_ssim_leaves_no_mean(tmp_path: Path, value: float | None) -> None:
    run_id = fill(tmp_path)[-1]
    metrics = dict.fromkeys(("mse", "mae", "psnr", "ssim_article", "ssim_openstl"), 1.0) | {"ssim": value}
    rewrite(tmp_path, run_id, metrics=metrics)
    page = make(tmp_path)
    found = table(page, "ablation")
    assert column(found, "SSIM, mean")["attention"] == "not finite (seed 2)"
    assert column(found, "gain over base (SSIM)")["attention"] == "-"
    assert column(found, "verdict")["attention"].startswith("failed: its seed 2 gave no finite result")
    assert any("seed 2 is missing or not finite" in text for text in page.warnings)
    assert "not finite" in {cell.text for row in table(page, "seeds").rows for cell in row}


def test_nan_everywhere(tmp_path: Path) -> None:
    nothing = {name: None for name in CONVENTIONS if name not in ("version", "headline", "values")}
    for run_id in fill(tmp_path):
        rewrite(
            tmp_path,
            run_id,
            metrics=nothing,
            params=None,
            flops_per_sequence=None,
            baselines={"blank": {}, "repeat_last": {}},
        )
        rewrite(tmp_path, run_id, metrics_per_frame={})
        rewrite(tmp_path, run_id, "sequences.json", ssim=[None] * 5)
    page = make(tmp_path)
    assert column(table(page, "ablation"), "parameters")["base"] == "-"
    assert "no finite SSIM" in page.summary[0]
    assert {figure.id for section in page.sections for figure in section.figures} <= {"validation"}


# --- what is not comparable


def test_two_test_sets_do_not_share_a_table(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 1, 2, 3))
    fill(tmp_path, seeds=(4, 5, 6), fake=Fake(test_digest="cd34" * 16))
    page = make(tmp_path)
    assert any("two test sets: ab12ab12.. and cd34cd34.." in text for text in page.warnings)
    assert column(table(page, "ablation"), "seeds")["base"] == "4"
    assert column(table(page, "ablation-2"), "seeds")["base"] == "3"
    assert any("test set cd34cd34.." in section.title for section in page.sections)


def test_conventions_numerics_digits_and_precision_separate(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 1, 2, 3))
    for seed, change in enumerate(
        (
            {"conventions": CONVENTIONS | {"ssim": "another window"}},
            {"digits": {"source": "idx", "digest": "other"}},
        ),
        start=10,
    ):
        fill(tmp_path, seeds=(seed,), fake=Fake(overrides=change))
    for run_id in fill(tmp_path, seeds=(20,)):
        rewrite(tmp_path, run_id, "experiment.json", revisions={"training": 99, "prediction": 1})
    fill(tmp_path, seeds=(30,), training__precision="bfloat16")
    page = make(tmp_path)
    assert {f"ablation-{number}" for number in (2, 3, 4, 5)} <= ids(page)
    named = " ".join(page.warnings)
    for words in (
        "metric convention of ssim",
        "two sets of digits",
        f"two training revisions: {REVISIONS['training']} and 99",
        "training.precision",
    ):
        assert words in named
    assert column(table(page, "ablation"), "seeds") | {} == {
        "base": "4", "attention": "4", "blank frame": "-", "repeat last frame": "-",
    }  # fmt: skip


def test_a_variant_in_two_definitions_has_two_rows(tmp_path: Path) -> None:
    fill(tmp_path, names=("base", "tta"))
    fill(tmp_path, names=("tta",), inference__views="identity,hflip")
    page = make(tmp_path)
    names = [name for name in column(table(page, "ablation"), "verdict") if name.startswith("tta")]
    assert len(names) == 2
    assert any("rot180" in name for name in names)
    assert any("2 definitions" in text for text in page.warnings)


def test_base_with_other_settings_is_no_reference(tmp_path: Path) -> None:
    fill(tmp_path, names=("base", "attention"))
    fill(tmp_path, names=("base", "tta"), seeds=(0, 1), training__steps=77)
    page = make(tmp_path)
    assert set(column(table(page, "ablation"), "verdict")) == {"base", "attention", "blank frame", "repeat last frame"}
    assert set(column(table(page, "ablation-2"), "verdict")) == {"base", "tta", "blank frame", "repeat last frame"}


def test_single_rows_with_settings_of_their_own_are_kept(tmp_path: Path) -> None:
    fill(tmp_path)
    fill(tmp_path, names=("base",), seeds=(5,), data__speed=0.2)
    page = make(tmp_path)
    (row,) = table(page, "rest").rows
    assert row[1].text == "data.speed 0.2 (first table: 0.1)"


def test_mixed_devices_are_named(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",))
    fill(tmp_path, names=("attention",), fake=Fake(device="GPU 9000"))
    page = make(tmp_path)
    assert any("mixes devices" in text and "GPU 9000" in text for text in page.warnings)
    assert "times are not comparable" in table(page, "ablation").note


def test_the_most_complete_group_comes_first(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,), training__steps=50)
    fill(tmp_path, seeds=(0, 1))
    assert "800 steps" in table(make(tmp_path), "ablation").title or "steps" in table(make(tmp_path), "ablation").title
    assert column(table(make(tmp_path), "ablation"), "seeds")["base"] == "2"


def test_below_a_blank_frame_is_said(tmp_path: Path) -> None:
    fill(tmp_path, fake=Fake(ssim=0.3))
    assert any("no better than a blank frame" in text for text in make(tmp_path).warnings)


def test_another_name_for_the_same_experiment_has_its_row(tmp_path: Path) -> None:
    cells = []
    for seed in (0, 1, 2):
        made = cell("base", seed)
        write_run(tmp_path, made)
        alias = cell("tta", seed, settings={"inference.views": "identity"})
        assert alias.run_id == made.run_id
        cells += [("base", made), ("tta", alias)]
    fake_store.write_plan(tmp_path, "add-one", cells)
    page = make(tmp_path)
    assert column(table(page, "ablation"), "verdict")["tta"].startswith("equivalent: identical in all 3 common seeds")


# --- records that are not whole


def test_damaged_and_superseded_runs_are_left_out_and_named(tmp_path: Path) -> None:
    first, second, third, *_ = fill(tmp_path)
    (tmp_path / "runs" / first / "result.json").write_text("{")
    rewrite(tmp_path, second, params="many")
    Path(tmp_path / "runs" / third / "experiment.json").unlink()
    os.rename(tmp_path / "runs" / first, tmp_path / "runs" / f"{first}~1")
    (tmp_path / "runs" / "not ours").mkdir()
    page = make(tmp_path)
    reasons = {row[0].text: row[4].text for row in table(page, "missing").rows}
    assert set(reasons) == {first, second, third}
    assert reasons[first] == "trained, but not tested"
    assert "params is no number" in reasons[second]
    assert "no experiment.json" in reasons[third]
    assert "1 superseded" in " ".join(text for section in page.sections for text in section.paragraphs)


def test_failed_unfinished_and_missing_cells_are_named(tmp_path: Path) -> None:
    cells = [(name, cell(name, seed)) for seed in (0, 1, 2) for name in ("base", "attention")]
    for _, made in cells[:-2]:
        write_run(tmp_path, made)
    failed = cells[-1][1].run_id
    Folder(tmp_path / "runs" / failed).write(
        "failure.json", {"variant": "attention", "seed": 2, "error": "out of memory", "attempts": 2}
    )
    Folder(tmp_path / "runs" / cells[0][1].run_id).write("failure.json", {"variant": "base", "seed": 0, "error": "once"})
    fake_store.write_plan(tmp_path, "add-one", cells, errors={failed: "out of memory"})
    page = make(tmp_path)
    found = {(row[1].text, row[2].text): (row[3].text, row[4].text) for row in table(page, "missing").rows}
    assert found == {
        ("attention", "2"): ("failed", "out of memory"),
        ("base", "2"): ("waiting", "not run yet in plan add-one (equal steps)"),
    }  # the run that failed once and then finished is not among them
    section = next(section for section in page.sections if section.id == "missing")
    assert section.commands == ("harness ablate --plan add-one --match steps --preset cpu",)
    assert any("2 planned cells are missing" in text for text in page.warnings)


def test_damaged_plans_stop_nothing(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "0000.json").write_text("[]")
    Folder(tmp_path / "plans").write("1111.json", {"cells": [{"label": 3}]})
    page = make(tmp_path)
    assert {row[0].text for row in table(page, "missing").rows} == {"plans/0000.json", "plans/1111.json"}


@pytest.mark.parametrize("record", ["result.json", "experiment.json"])
def test_a_record_with_any_field_missing_or_of_another_type_is_no_traceback(tmp_path: Path, record: str) -> None:
    (run_id,) = fill(tmp_path, names=("attention",), seeds=(0,))
    whole = Folder(tmp_path / "runs" / run_id).read(record)
    for name in whole:
        for value in (None, "text", 3, [1], {"a": {}}):
            rewrite(tmp_path, run_id, record, **(whole | {name: value}))
            found = read_store(Store(tmp_path))
            assert len(found.runs) + len(found.troubles) == 1
            overview.analyse(found)


# --- names


SCRIPT = "<script>alert(1)</script>"


def test_hostile_names_come_out_as_text(tmp_path: Path) -> None:
    names = [SCRIPT, "x" * 10_000, "$\\frac{1}{0}$ & % _ |\n# \u202e\u0000 漢字", "attention+" + SCRIPT]
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


def test_runs_of_a_removed_plugin_stay_readable(tmp_path: Path) -> None:
    for run_id in fill(tmp_path):
        record = Folder(tmp_path / "runs" / run_id).read("experiment.json")
        if record["variant"] == "attention":
            record["experiment"]["architecture"]["bottleneck"] = {"type": "gone.Module", "size": 3}
            rewrite(tmp_path, run_id, "experiment.json", **(record | {"variant": "gone"}))
    page = make(tmp_path)
    row = {
        name: cells["gone"] for name in table(page, "ablation").columns if (cells := column(table(page, "ablation"), name))
    }
    assert row["claimed SSIM"] == row["claimed time"] == "-"
    assert float(row["SSIM, mean"]) > 0
    assert any("plugins that are not installed" in text and "gone" in text for text in page.warnings)
    assert column(table(page, "sources"), "what it does")["gone"] == "its plugin is not installed"


# --- the folder


def test_builds_again_into_the_same_folder_and_alike(tmp_path: Path) -> None:
    fill(tmp_path / "store")
    out = tmp_path / "out"
    paths = ablation.build(Store(tmp_path / "store"), VARIANTS, out)
    before = {path: path.read_bytes() for path in paths}
    assert ablation.build(Store(tmp_path / "store"), VARIANTS, out) == paths
    assert {path: path.read_bytes() for path in paths} == before


def test_does_not_touch_foreign_data(tmp_path: Path) -> None:
    fill(tmp_path / "store")
    out = tmp_path / "out"
    out.mkdir()
    (out / DATA_FILE).write_text('{"mine": 1}')
    with pytest.raises(HarnessError, match=r"no report wrote .*data\.json|data\.json: no report wrote"):
        ablation.build(Store(tmp_path / "store"), VARIANTS, out)
    assert (out / DATA_FILE).read_text() == '{"mine": 1}'
    assert [path.name for path in out.iterdir()] == [DATA_FILE]


def test_out_that_is_a_file_or_cannot_be_made(tmp_path: Path) -> None:
    fill(tmp_path / "store", seeds=(0,))
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/report")):
        with pytest.raises(HarnessError, match="cannot write"):
            ablation.build(Store(tmp_path / "store"), VARIANTS, out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_out(tmp_path: Path) -> None:
    fill(tmp_path / "store", seeds=(0,))
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    with pytest.raises(HarnessError, match="cannot write"):
        ablation.build(Store(tmp_path / "store"), VARIANTS, out)


def test_data_file_gives_the_records_back(tmp_path: Path) -> None:
    fill(tmp_path / "store")
    ablation.build(Store(tmp_path / "store"), VARIANTS, tmp_path / "out")
    found = read_document(tmp_path / "out" / DATA_FILE)
    assert found.document()["runs"] == read_store(Store(tmp_path / "store")).document()["runs"]


# --- commands


def test_commands_reproduce_rows(tmp_path: Path) -> None:
    import shlex

    from harness.runs.request import parse_settings

    settings = {"training.steps": 123, "architecture.widths": "8,16", "loss.ssim": 0.0, "training.precision": "bfloat16"}
    made = cell("attention", 3, settings=settings)
    write_run(tmp_path, made)
    (group,) = overview.analyse(read_store(Store(tmp_path))).groups
    words = shlex.split(commands.command(group.methods[0]))
    assert words[:8] == ["harness", "ablate", "--plan", "attention", "--preset", "cpu", "--seeds", "3,"]
    again = cell("attention", 3, settings=parse_settings(words[9::2]))
    assert again.run_id == made.run_id


def test_paper_preset_needs_no_settings_but_the_precision(tmp_path: Path) -> None:
    write_run(tmp_path, made := cell("base", 0, preset="paper"), Fake(test_sequences=20))
    (group,) = overview.analyse(read_store(Store(tmp_path))).groups
    command = commands.command(group.methods[0])
    assert command == "harness ablate --plan base --preset paper --seeds 0, --set training.precision=float32"
    assert made.experiment.training.steps == 7813


# --- pictures


def test_sequences_are_chosen_by_rule(tmp_path: Path) -> None:
    scores = [[0.5, 0.9, 0.1, 0.7, 0.6], [0.5, 0.7, 0.3, 0.9, 0.6]]
    for seed, values in enumerate(scores):
        fill(tmp_path, names=("base",), seeds=(seed,), fake=Fake(sequences=values))
    fill(tmp_path, names=("attention",), seeds=(0, 1))
    (group, *_) = overview.analyse(read_store(Store(tmp_path))).groups
    picks = {pick.rule: (pick.index, round(pick.ssim, 6)) for pick in sequences.choose(Store(tmp_path), group)}
    assert picks == {"best": (1, 0.8), "median": (4, 0.6), "worst": (2, 0.2)}


def test_without_checkpoints_the_page_says_so_and_torch_stays_away(tmp_path: Path) -> None:
    fill(tmp_path)
    section = next(section for section in make(tmp_path).sections if section.id == "pictures")
    assert "No checkpoint" in section.paragraphs[0]
    assert not section.pictures


def test_pareto_front() -> None:
    points = {"a": (1.0, 0.5), "b": (2.0, 0.6), "c": (2.0, 0.55), "d": (3.0, 0.6), "e": (0.5, float("nan")), "f": (4.0, 0.7)}
    assert costs.pareto(points) == ["a", "b", "f"]


def test_json_holds_no_nan(tmp_path: Path) -> None:
    run_id = fill(tmp_path)[0]
    rewrite(tmp_path, run_id, params=None)
    json.dumps(read_store(Store(tmp_path)).document(), allow_nan=False)
