"""Reading a store: list and predict."""

from pathlib import Path

from commands import Command, refused
from PIL import Image

from harness.presets import PRESETS
from harness.store import Store


def test_a_list_cuts_what_is_too_long_for_a_table(harness: Command, store: Path) -> None:
    run = next(iter(Store(store).runs()))
    run.write("experiment.json", run.read("experiment.json") | {"variant": "x" * 10_000})
    assert max(map(len, harness("list", "--store", store).out.splitlines())) < 300
    assert "x" * 10_000 in harness("list", "--store", store, "--json").out


def test_every_list_is_pure_json_on_request_and_a_table_otherwise(harness: Command, unharmed: Path) -> None:
    for what, names in {
        "variants": {"base", "residual", "attention", "curriculum", "tta"},
        "presets": set(PRESETS),
        "settings": {"training.optimizer.lr", "data.canvas"},
        "components": {"attention", "adamw", "moving-mnist"},
        "runs": {run.run_id for run in Store(unharmed).runs()},
        "studies": set(),
        "reports": set(),
    }.items():
        answer = harness("list", what, "--store", unharmed, "--json")
        rows = answer.document[what]
        assert names <= {row.get("name") or row.get("path") or row.get("run_id") for row in rows}
        text = harness("list", what, "--store", unharmed).out
        assert all(name in text for name in names)


def test_components_are_listed_one_row_a_field(harness: Command) -> None:
    rows = harness("list", "components", "--json", "--no-plugins").document["components"]
    (muon,) = (row for row in rows if row["name"] == "muon")
    assert (muon["slot"], muon["error"]) == ("training.optimizer", None)
    (steps,) = (one for one in muon["fields"] if one["name"] == "steps")
    assert steps == {"name": "steps", "default": 5, "range": "at least 1, at most 20", "meaning": "Newton-Schulz iterations"}
    header, *lines = harness("list", "components", "--no-plugins").out.splitlines()
    assert header.split() == ["slot", "name", "field", "default", "range", "meaning", "origin"]
    assert len(lines) == sum(max(1, len(row["fields"])) for row in rows)
    (line,) = (line for line in lines if line.split()[1:3] == ["muon", "steps"])
    assert line.startswith("training.optimizer")
    for words in (" 5 ", "at least 1, at most 20", "Newton-Schulz iterations", muon["origin"]):
        assert words in line


def test_a_broken_plugin_file_is_listed_and_stops_nothing(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    (tmp_path / "a_plugin.py").write_text("print('hello')\nraise OSError('not today')")
    words = ("--plugin", tmp_path / "a_plugin.py", "--no-plugins")
    listed = harness("list", "variants", *words, "--json")
    errors = {row["name"]: row["error"] for row in listed.document["variants"]}
    assert errors.pop("a_plugin") == "OSError: not today"
    assert set(errors.values()) == {None}
    text = harness("list", "variants", *words)
    assert "the plain ConvLSTM encoder-forecaster" in text.out
    assert "a_plugin: OSError: not today" in text.err
    assert harness("run", "--preset", "tiny", "--store", unharmed, *words, "--json").document["cached"] is True
    refused(harness("run", "--variant", "mine", "--preset", "tiny", *words, "--json"), "OSError: not today")


def test_predict_draws_a_strip_and_an_animation(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--variant", "tta", "--store", unharmed, "--json").document["run_id"]
    for name, frames in (("strip.png", 1), ("new/film.GIF", 6)):
        answer = harness("predict", run_id, "--out", tmp_path / name, "--index", 7, "--store", unharmed)
        assert answer.code == 0
        assert answer.out.startswith(f"{tmp_path / name}: test sequence 7, SSIM ")
        with Image.open(tmp_path / name) as picture:
            assert getattr(picture, "n_frames", 1) == frames
            assert picture.width > 100


def test_predict_answers_mistakes(harness: Command, unharmed: Path, tmp_path: Path, digits: Path) -> None:
    run_id = next(iter(Store(unharmed).runs())).run_id
    words = ("predict", run_id, "--store", unharmed)
    refused(harness(*words, "--out", tmp_path / "x.mp4"), "ends in .png (a strip) or .gif")
    refused(harness(*words, "--out", tmp_path / "x.png", "--index", 8), "sequences 0 to 7")
    refused(harness(*words, "--out", tmp_path / "x.png", "--index", -1), "sequences 0 to 7")
    refused(harness(*words, "--out", tmp_path / "x.png", "--digits", digits), "was made with other data")
    refused(harness(*words, "--out", Path("/dev/null/x.png")), "cannot write /dev/null/x.png", code=1)
    assert not (tmp_path / "x.png").exists()
