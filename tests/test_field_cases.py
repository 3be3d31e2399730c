"""What people do with data of their own, as they do it: the situations that went wrong, and what is right.

Others of the list have their tests where they belong: 10 in reports/test_analysis_comparisons.py, 14 in cli/test_messages.py, 16 in
cli/test_list.py, 23 in runs/test_score.py and judging/test_judge.py, 24 in reports/test_answer.py, 25 in
reports/test_numbers.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Answer, Command

pytestmark = pytest.mark.usefixtures("quick")
TINY = ("--preset", "tiny", "--device", "cpu", "--set", "training.steps=2")
NTHW = ("--set", "data.layout=N T H W")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(name: str, *shape: int, seed: int = 0) -> np.ndarray:
    array = np.random.default_rng(seed).random(shape).astype(np.float32)
    np.save(name, array)
    return array


def recording(name: str, frames: int = 200, height: int = 20, width: int = 28) -> np.ndarray:
    """Rain in mm/h that moves to the right: (T, H, W), 0..76.5."""
    y, x = np.mgrid[:height, :width]
    found = [76.5 * np.exp(-((x - (3 + 0.4 * t) % width) ** 2 + (y - 9) ** 2) / 20) for t in range(frames)]
    np.save(name, np.array(found, np.float32))
    return np.array(found, np.float32)


def run(harness: Command, path: str, *settings: str, preset: tuple[str, ...] = TINY) -> Answer:
    words = [word for one in settings for word in ("--set", one)]
    return harness("run", *preset, "--store", "s", "--set", "data=frames", "--set", f"data.path={path}", *words, "--json")


def result(answer: Answer) -> dict[str, Any]:
    assert answer.code == 0, answer.err
    found: dict[str, Any] = json.loads((Path(answer.document["path"]) / "result.json").read_text())
    return found


def refused(answer: Answer) -> str:
    assert answer.code == 2, answer.out + answer.err
    assert "Traceback" not in answer.err
    return answer.err


def test_1_two_parts_of_a_file_are_two_test_sets_and_training_sequences_among_them_are_counted(
    here: Path, harness: Command
) -> None:
    save("a.npy", 40, 6, 16, 16)
    tail = run(harness, "a.npy", "data.layout=N T H W")
    whole = run(harness, "a.npy", "data.layout=N T H W", "data.evaluation=a.npy", "data.test_sequences=40")
    assert result(tail)["run_id"] != result(whole)["run_id"]
    assert (result(tail)["data"]["test_in_training"], result(whole)["data"]["test_in_training"]) == (0, 32)
    assert "warning: 32 of 40 test sequences occur in training" in whole.err


def test_2_an_epoch_of_a_file_is_its_sequences(here: Path, harness: Command) -> None:
    save("a.npy", 24, 6, 16, 16)
    preset = ("--preset", "tiny", "--device", "cpu")
    answer = run(harness, "a.npy", "data.layout=NTHW", "training.epochs=2", "training.batch_size=4", preset=preset)
    assert result(answer)["training"]["steps"] == 10, "20 of the 24 train"


def test_3_the_record_has_facts_of_the_file_only(here: Path, harness: Command) -> None:
    save("a.npy", 24, 6, 16, 16)
    answer = run(harness, "a.npy", "data.layout=NTHW")
    assert result(answer)["data"]["test"] == 2
    harness("report", "--store", "s", "--out", "r")
    page = (here / "r" / "index.html").read_text() if (here / "r" / "index.html").exists() else ""
    text = page + "".join(path.read_text() for path in (here / "r").glob("*.md"))
    assert ", 2 sequences" in text
    assert "drawn from digits" not in text.lower()
    assert "from digits that neither" not in text


def test_4_a_file_of_two_readings_is_refused_with_both(here: Path, harness: Command) -> None:
    save("a.npy", 20, 40, 16, 16)
    said = refused(run(harness, "a.npy"))
    assert '"N T H W" (20 sequences of 40 frames' in said
    assert '"T N H W" (40 sequences of 20 frames' in said


def test_5_training_and_test_file_each_have_a_layout(here: Path, harness: Command) -> None:
    save("a.npy", 12, 6, 16, 16)
    test = save("b.npy", 6, 9, 16, 16, seed=1)
    answer = run(harness, "a.npy", "data.layout=N T H W", "data.evaluation=b.npy", "data.evaluation_layout=T N H W")
    assert result(answer)["data"]["test"] == 8, "of 9, the preset tests 8"
    np.save("c.npy", test.swapaxes(0, 1))
    again = run(harness, "a.npy", "data.layout=N T H W", "data.evaluation=c.npy")
    assert result(answer)["test_digest"] == result(again)["test_digest"], "the same frames"
    assert result(answer)["run_id"] != result(again)["run_id"]


def test_6_channels_last_are_recognised_and_can_be_named(here: Path, harness: Command) -> None:
    save("a.npy", 8, 6, 16, 20, 3)
    said = refused(run(harness, "a.npy"))
    assert "last axis looks like 3 channels" in said
    assert "data.layout=N T H W C" in said
    about = result(run(harness, "a.npy", "data.layout=N T H W C"))["data"]
    assert about["shape"] == [3, 16, 20]


def test_7_a_run_answers_from_another_folder_and_its_data_may_move(
    here: Path, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("a.npy", 12, 6, 16, 16)
    found = result(run(harness, "a.npy", "data.layout=NTHW"))["run_id"]
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    words = ("predict", found, "--store", "../s", "--out", "p.png")
    assert harness(*words).code == 0
    (here / "a.npy").rename(here / "moved.npy")
    assert "a.npy, which is not there; name where it is now: harness predict" in refused(harness(*words))
    assert harness(*words, "--data", "../moved.npy").code == 0
    save("other.npy", 12, 6, 16, 16, seed=3)
    assert "was made with other data" in refused(harness(*words, "--data", "other.npy"))


def test_8_and_9_a_study_is_its_content_and_its_best_setting_carries_the_data(
    here: Path, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("a.npy", 12, 6, 16, 16)
    (here / "elsewhere").mkdir()
    for folder, path in ((here, "a.npy"), (here / "elsewhere", "../a.npy")):
        monkeypatch.chdir(folder)
        data = ("--set", "data=frames", "--set", f"data.path={path}", *NTHW)
        answer = harness("study", "learning-rate", *TINY, *data, "--trials", "1", "--store", here / "s", "--json")
        assert answer.code == 0, answer.err
    studies = {path.name for path in (here / "s" / "studies").rglob("*.toml") if path.name != "best.toml"}
    assert len(studies) == 1
    best = next((here / "s" / "studies").rglob("best.toml"))
    monkeypatch.chdir(here / "elsewhere")
    planned = harness("run", "--preset", "tiny", "--device", "cpu", "--config", best, "--dry-run", "--json").document
    assert planned["experiment"]["data"]["name"] == "frames"
    assert planned["digits"]["source"] == "file"


def test_11_memory_does_not_count_the_pages_of_the_file(tmp_path: Path) -> None:
    """No file is mapped; see also test_formats.test_fifty_gigabytes_are_read_by_parts."""
    from harness.data.frames import open_frames

    np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.uint8, (300, 20, 128, 128)).flush()
    file = open_frames(tmp_path / "large.npy")
    for index in range(300):
        file.window(index, slice(None))
    assert "large.npy" not in Path("/proc/self/maps").read_text()


def test_12_a_value_out_of_range_is_shown_with_its_digits_and_what_to_do(here: Path, harness: Command) -> None:
    array = save("a.npy", 12, 6, 16, 16)
    array[3, 1, 2, 2] = np.float32(1.0000001)
    np.save("a.npy", array)
    said = refused(run(harness, "a.npy", "data.layout=NTHW"))
    assert "sequence 3 holds 1.0000001;" in said
    assert "data.scaling=min-max" in said


def test_17_and_21_radar_in_mm_with_missing_values(here: Path, harness: Command) -> None:
    rain = recording("rain.npy", height=16, width=16)
    stored = (rain * 10).round().astype(np.uint16)
    stored[:, :3, :3] = 65535
    np.save("radar.npy", stored)
    assert "holds uint16 values, 0 to 65535" in refused(run(harness, "radar.npy"))
    found = result(run(harness, "radar.npy", "data.scaling=min-max", "data.missing=65535", "data.unit=mm/10 h"))
    train = stored[:160][stored[:160] != 65535]
    assert found["data"]["values"]["scaling"]["low"] == [float(train.min())]
    assert found["data"]["values"]["scaling"]["high"] == [float(train.max())]
    assert found["data"]["missing_share"] == pytest.approx(9 / 256)
    # The repeated last frame by hand, on known pixels, in the file's unit.
    starts = range(180, 195, 6)
    errors = [np.abs(stored[s + 3 : s + 6].astype(float) - stored[s + 2].astype(float)) for s in starts]
    known = [stored[s + 3 : s + 6] != 65535 for s in starts]
    by_hand = sum(e[k].sum() for e, k in zip(errors, known, strict=True)) / sum(k.sum() for k in known)
    assert found["baselines"]["repeat_last"]["mae_unit"] == pytest.approx(by_hand, rel=1e-4)
    assert found["measured"]["mae_unit"]["unit"] == "mm/10 h"

    rain[:, :3, :3] = np.nan
    np.save("nan.npy", rain / 76.5)
    assert "data.missing=nan" in refused(run(harness, "nan.npy"))
    found = result(run(harness, "nan.npy", "data.missing=nan", "metrics=csi(thresholds=[0.1]), sharpness"))
    assert all(np.isfinite(found["metrics"][one]) for one in ("ssim", "csi", "sharpness"))


def test_17_thresholds_selection_and_verdicts_are_in_the_unit_too(here: Path, harness: Command) -> None:
    rain = recording("a.npy", height=16, width=16)
    csi = "metrics=csi(in_unit=true, thresholds=[2, 20])"
    found = result(run(harness, "a.npy", "data.scaling=min-max", "data.unit=mm/h", csi, "training.select=rmse_unit"))
    assert "at or above 2, 20 mm/h" in found["measured"]["csi"]["convention"]
    starts = range(180, 195, 6)
    shown = np.stack([rain[[s + 2] * 3] for s in starts])
    true = np.stack([rain[s + 3 : s + 6] for s in starts])
    by_hand = [((shown >= mark) & (true >= mark)).sum() / ((shown >= mark) | (true >= mark)).sum() for mark in (2, 20)]
    assert found["baselines"]["repeat_last"]["csi"] == pytest.approx(float(np.mean(by_hand)), rel=0.02)

    words = (
        "--plan",
        "base,residual",
        "--seeds",
        "2",
        "--workers",
        "1",
        "--margin",
        "0.5",
        "--metric",
        "rmse_unit",
        "--json",
    )
    data = ("--set", "data=frames", "--set", "data.path=a.npy", "--store", "s")
    planned = harness("ablate", *words, *TINY, *data, "--set", "data.scaling=min-max", "--set", "data.unit=mm/h")
    assert planned.code == 0, planned.err
    assert "makes rmse_unit (lower is better) better by 0.5" in planned.err

    np.save("unit.npy", rain / 76.6)
    for setting in (csi, "training.select=mae_unit"):
        assert "is in the data's unit" in refused(run(harness, "unit.npy", setting))
    unscaled = ("--set", "data=frames", "--set", "data.path=unit.npy", "--store", "s")
    assert "rmse_unit is in the data's unit" in refused(harness("ablate", *words, *TINY, *unscaled))


def test_18_a_recording_is_cut_into_windows(here: Path, harness: Command) -> None:
    recording("a.npy", height=16, width=16)
    answer = run(harness, "a.npy", "data.scaling=min-max")
    assert "a.npy: read as T H W; train 155 windows of 3+3 frames, 1 channel, 16x16, float32 " in answer.err
    assert " scaled by min-max of " in answer.err
    assert "; validation 3; test 3" in answer.err
    about = result(answer)["data"]
    assert (about["train"], about["validation"], about["test"]) == (155, 3, 3)


def test_19_any_size_is_padded_and_measured_on_its_own_area(here: Path, harness: Command) -> None:
    recording("a.npy", height=18, width=27)
    assert "data.pad=4" in refused(run(harness, "a.npy", "data.scaling=min-max"))
    padded = result(run(harness, "a.npy", "data.scaling=min-max", "data.pad=4"))
    assert padded["data"]["values"]["padded"] == [20, 28]
    rain = np.load("a.npy")
    scaled = (rain - rain[:160].min()) / np.ptp(rain[:160])  # by hand, of 18x27 pixels
    squares = [((scaled[s + 3 : s + 6] - scaled[s + 2]) ** 2).sum((1, 2)).mean() for s in range(180, 195, 6)]
    assert padded["baselines"]["repeat_last"]["mse"] == pytest.approx(float(np.mean(squares)), rel=1e-4)


def test_20_what_comes_after_the_last_frames(here: Path, harness: Command) -> None:
    rain = recording("a.npy", height=16, width=16)
    found = result(run(harness, "a.npy", "data.scaling=min-max"))["run_id"]
    np.save("last.npy", rain[-10:])
    answer = harness("forecast", found, "--store", "s", "--input", "last.npy", "--horizon", "7", "--out", "f.npy")
    assert answer.code == 0, answer.err
    assert "frames 4 to 7 extrapolate" in answer.err
    made = np.load("f.npy")
    assert made.shape == (7, 16, 16)
    assert rain[:160].min() - 1e-4 <= made.min() <= made.max() <= rain[:160].max() + 1e-4


def test_22_a_finished_run_of_some_steps_goes_on_to_more(here: Path, harness: Command) -> None:
    recording("a.npy", height=16, width=16)
    first = run(harness, "a.npy", "data.scaling=min-max")
    words = (
        "run",
        *TINY,
        "--store",
        "s",
        "--set",
        "data=frames",
        "--set",
        "data.path=a.npy",
        "--set",
        "data.scaling=min-max",
    )
    longer = harness(*words, "--extend", "steps=5", "--json")
    assert result(longer)["training"]["steps"] == 5
    start = json.loads((Path(longer.document["path"]) / "experiment.json").read_text())["experiment"]["training"]["start"]
    assert (start["name"], start["run"], start["step"]) == ("extension", first.document["run_id"], 2)


def test_plans_and_studies_say_once_what_they_understood_and_runs_how_long_they_waited(here: Path, harness: Command) -> None:
    recording("a.npy", height=16, width=16)
    data = ("--set", "data=frames", "--set", "data.path=a.npy", "--set", "data.scaling=min-max", "--store", "s")
    planned = harness("ablate", "--plan", "base", "--seeds", "2", "--workers", "1", *TINY, *data)
    assert planned.code == 0, planned.err
    searched = harness("study", "learning-rate", "--trials", "1", "--workers", "1", *TINY, *data)
    assert searched.code == 0, searched.err
    for answer in (planned, searched):
        assert answer.err.count("a.npy: read as T H W; train 155 windows of 3+3 frames") == 1
    shares = [json.loads(path.read_text())["training"]["waiting_share"] for path in Path("s/runs").glob("*/result.json")]
    assert len(shares) >= 2
    assert all(0 < share < 1 for share in shares)


def test_13_a_settings_file_with_a_byte_order_mark_is_read(here: Path, harness: Command) -> None:
    Path("set.toml").write_bytes(b"\xef\xbb\xbf[training]\nbatch_size = 3\n")
    planned = harness("run", *TINY, "--config", "set.toml", "--store", "s", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert planned.document["experiment"]["training"]["batch_size"] == 3


def test_15_a_study_continued_with_another_setting_names_it_and_both_values(here: Path, harness: Command) -> None:
    words = ("study", "learning-rate", *TINY, "--trials", "1", "--workers", "1", "--study-name", "mine", "--store", "s")
    assert harness(*words).code == 0
    said = refused(harness(*words, "--set", "training.clip_norm=2"))
    assert "the study 'mine' exists with training.clip_norm 1.0, now 2.0; its trials cannot be compared" in said


@pytest.mark.parametrize("name", ["with space", "50%", "a?b", "#1", "line\nbreak", "Zürich ☂", 'it\'s "quoted"'])
def test_a_store_and_a_file_may_have_any_name(name: str, here: Path, harness: Command) -> None:
    (here / name).mkdir()
    recording(f"{name}/a.npy", height=16, width=16)
    data = ("--set", "data=frames", "--set", f"data.path={name}/a.npy", "--set", "data.scaling=min-max")
    made = harness("run", *TINY, *data, "--store", f"{name}/s", "--json")
    assert made.code == 0, made.err
    assert harness("run", *TINY, *data, "--store", f"{name}/s", "--json").document["cached"]
    shown = harness("show", made.document["run_id"], "--store", f"{name}/s")
    assert shown.code == 0, shown.err
    assert "waiting for data)" in shown.out
