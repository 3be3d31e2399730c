"""Forecasts: in the unit and axes of the file, without its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Command
from PIL import Image
from radar import TINY, by_hand, runs


def test_a_forecast_is_in_the_unit_and_axes_of_its_input(made: Path, harness: Command, tmp_path: Path) -> None:
    first, _ = runs(made)
    words = ("forecast", first, "--store", made / "s", "--horizon", 5)
    answer = harness(*words, "--input", made / "last.npy", "--out", tmp_path / "f.npy")
    assert answer.code == 0, answer.err
    assert "trained for 3 frames: frames 4 to 5 extrapolate" in answer.err
    found = np.load(tmp_path / "f.npy")
    np.testing.assert_allclose(found, by_hand(made, first, 5), rtol=1e-4, atol=1e-4)
    answer = harness(*words, "--input", made / "last-first.npy", "--layout", "H W T", "--out", tmp_path / "g.npy")
    assert answer.code == 0, answer.err
    np.testing.assert_array_equal(np.load(tmp_path / "g.npy"), found.transpose(1, 2, 0))


def test_a_gap_between_the_last_frames_is_said(made: Path, harness: Command, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(made / "radar.nc", engine="h5netcdf") as data:
        data.isel(time=[*range(180, 190), 197, 198, 199][:-1]).to_netcdf(tmp_path / "gap.nc", engine="h5netcdf")
    words = ("--input", tmp_path / "gap.nc", "--out", tmp_path / "f.nc", "--store", made / "s")
    assert (
        "gap.nc: a gap in time lies between the last 3 frames; in training no gap did"
        in harness("forecast", runs(made)[0], *words).err
    )


def test_many_inputs_and_a_picture(made: Path, harness: Command, tmp_path: Path) -> None:
    several = np.stack([np.load(made / "last.npy")] * 4)
    np.save(tmp_path / "several.npy", several)
    words = ("forecast", runs(made)[0], "--store", made / "s", "--input", tmp_path / "several.npy", "--layout", "N T H W")
    unnamed = harness(*words[:-2], "--out", tmp_path / "f.npy")
    assert (unnamed.code, 'name the axes: --layout "N T H W"' in unnamed.err) == (2, True)
    assert harness(*words, "--out", tmp_path / "f.npy").code == 0
    assert np.load(tmp_path / "f.npy").shape == (4, 3, 18, 22)
    assert harness(*words, "--out", tmp_path / "f.gif").code == 0
    with Image.open(tmp_path / "f.gif") as gif:
        assert gif.n_frames == 6
        pixels = np.asarray(gif.convert("L"))
    assert (pixels == 128).any(), "the corner that never had a value is grey"


def test_values_that_the_run_cannot_take_are_named(made: Path, harness: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.where(np.isnan(last := np.load(made / "last.npy")), np.inf, last))
    words = ("forecast", runs(made)[0], "--store", made / "s", "--input", tmp_path / "x.npy", "--out", tmp_path / "f.nc")
    assert "x.npy holds infinite values" in harness(*words).err
    np.save(tmp_path / "bytes.npy", np.random.default_rng(0).integers(0, 256, (80, 16, 16), dtype=np.uint8))
    trained = harness(
        "run", *TINY, "--set", f"data.path={tmp_path / 'bytes.npy'}", "--store", tmp_path / "b", "--json"
    ).document
    np.save(tmp_path / "x.npy", np.full((3, 16, 16), 7.5))
    words = (
        "forecast",
        trained["run_id"],
        "--store",
        tmp_path / "b",
        "--input",
        tmp_path / "x.npy",
        "--out",
        tmp_path / "f.npy",
    )
    assert "x.npy holds 7.5 to 7.5; the run was trained on bytes, or on values in [0, 1]" in harness(*words).err


@pytest.mark.parametrize(
    ("shape", "words", "said"),
    [
        ((12, 18, 20), (), r"(1, 18, 20); the run was trained on (1, 18, 22)"),
        ((2, 18, 22), (), "holds 2 frames; the run is shown 3"),
        ((12, 18, 22), ("--horizon", "0"), "--horizon"),
        ((12, 18, 22), ("--out", "f.mp4"), "choose a file that ends in .nc"),
    ],
)
def test_inputs_of_another_kind_are_refused(
    made: Path, shape: tuple[int, ...], words: tuple[str, ...], said: str, harness: Command, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
    answer = harness("forecast", runs(made)[0], "--store", made / "s", "--input", tmp_path / "x.npy", *words)
    assert answer.code == 2
    assert said in answer.err
