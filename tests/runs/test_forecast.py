"""Forecasts and exported networks: in the unit, axes and coordinates of the file, without its truth."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Command
from PIL import Image

from harness.errors import RequestError
from harness.evaluation.predict import predict
from harness.runs.forecast import Trained, load_trained
from harness.store import Store
from harness.variant import Variants

TINY = ("--preset", "tiny", "--device", "cpu", "--set", "training.steps=2", "--set", "data=frames")
SCALED = ("--set", "data.scaling=min-max", "--set", "data.missing=nan", "--set", "data.pad=4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording in NetCDF (T, 18, 22), a corner of it missing, and two seeds trained on it in store `s`."""
    from harness.cli.app import main

    xarray = pytest.importorskip("xarray")
    folder = tmp_path_factory.mktemp("forecast")
    y, x = np.mgrid[:18, :22]
    rain = np.stack([40 * np.exp(-((x - t % 22) ** 2 + (y - 9) ** 2) / 20) for t in range(200)]).astype(np.float32)
    rain[:, :2, :3] = np.nan
    times = np.datetime64("2020-01-01", "ns") + np.arange(200) * np.timedelta64(5, "m")
    xarray.Dataset(
        {"rain": (("time", "lat", "lon"), rain, {"units": "mm/h"})},
        coords={"time": times, "lat": np.linspace(50, 49, 18), "lon": np.linspace(5, 6, 22)},
    ).to_netcdf(folder / "radar.nc", engine="h5netcdf")
    np.save(folder / "last.npy", rain[-12:])
    np.save(folder / "last-first.npy", rain[-12:].transpose(1, 2, 0))
    for seed in (0, 1):
        words = ("run", *TINY, *SCALED, "--set", f"data.path={folder / 'radar.nc'}", "--seed", seed, "--store", folder / "s")
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        assert not ended.value.code
    return folder


def runs(made: Path) -> list[str]:
    found = {}
    for path in (made / "s" / "runs").iterdir():
        if (path / "result.json").exists():
            found[json.loads((path / "result.json").read_text())["seed"]] = path.name
    return [found[0], found[1]]


def trained(made: Path, run_id: str) -> Trained:
    store = Store(made / "s")
    return load_trained(store, store.find(run_id), Variants(third_party=False), torch.device("cpu"))


def by_hand(made: Path, run_id: str, horizon: int) -> np.ndarray:
    """The forecast from its parts: scale, fill, pad, predict, clamp, cut, scale back."""
    one = trained(made, run_id)
    scaling = one.values.scaling
    assert scaling is not None
    low, high = scaling.low[0], scaling.high[0]
    last = np.load(made / "last.npy")[-3:]
    scaled = (last - low) / (high - low)
    scaled = np.where(np.isnan(scaled), one.values.means[0], scaled)
    padded = np.pad(scaled, ((0, 0), (0, 2), (0, 2)), mode="edge").astype(np.float32)
    found = predict(one.model, torch.from_numpy(padded)[None, :, None], horizon)[0, :, 0].numpy()[:, :18, :22].clip(0, 1)
    return np.where(np.isnan(last).all(0), np.nan, low + found * (high - low))


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


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_coordinates_go_on_and_an_ensemble_has_a_spread(made: Path, ending: str, harness: Command, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    out = tmp_path / f"f.{ending}"
    words = ("--input", made / "radar.nc", "--ensemble", ",".join(runs(made)), "--out", out, "--store", made / "s")
    answer = harness("forecast", *words)
    assert answer.code == 0, answer.err
    options = {"consolidated": False} if ending == "zarr" else {}
    with xarray.open_dataset(out, engine={"nc": "h5netcdf", "zarr": "zarr"}[ending], **options) as found:
        assert found["rain"].dims == ("time", "lat", "lon")
        assert found["rain"].attrs["units"] == "mm/h"
        times = np.datetime64("2020-01-01", "ns") + np.arange(200, 203) * np.timedelta64(5, "m")
        np.testing.assert_array_equal(found["time"].values, times)
        np.testing.assert_allclose(found["lon"].values, np.linspace(5, 6, 22))
        both = np.stack([by_hand(made, one, 3) for one in runs(made)])
        np.testing.assert_allclose(found["rain"].values, both.mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["spread"].values, both.std(0, ddof=1), rtol=1e-3, atol=1e-3)


def test_what_the_input_says_of_its_place_is_in_the_forecast(made: Path, harness: Command, tmp_path: Path) -> None:
    """A projection, coordinates on the grid, names and units of coordinates: what a map is drawn by."""
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(made / "radar.nc", engine="h5netcdf") as data:
        last = data.isel(time=slice(-6, None)).load()
    last["rain"].attrs |= {"grid_mapping": "crs", "standard_name": "rainfall_rate"}
    last["lat"].attrs["units"] = "degrees_north"
    last["crs"] = ((), 0, {"grid_mapping_name": "latitude_longitude"})
    height = np.arange(18.0 * 22).reshape(18, 22)
    last.assign_coords(height=(("lat", "lon"), height)).to_netcdf(tmp_path / "last.nc", engine="h5netcdf")
    words = ("--input", tmp_path / "last.nc", "--out", tmp_path / "f.nc", "--store", made / "s")
    answer = harness("forecast", runs(made)[0], *words)
    assert answer.code == 0, answer.err
    assert "a gap" not in answer.err
    with xarray.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as found:
        assert found["lat"].attrs["units"] == "degrees_north"
        assert found["rain"].attrs["standard_name"] == "rainfall_rate"
        assert found["crs"].attrs["grid_mapping_name"] == "latitude_longitude"
        np.testing.assert_array_equal(found["rain"].coords["height"].values, height)


def test_a_gap_between_the_last_frames_is_said(made: Path, harness: Command, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(made / "radar.nc", engine="h5netcdf") as data:
        data.isel(time=[*range(180, 190), 197, 198, 199][:-1]).to_netcdf(tmp_path / "gap.nc", engine="h5netcdf")
    words = ("--input", tmp_path / "gap.nc", "--out", tmp_path / "f.nc", "--store", made / "s")
    assert (
        "gap.nc: a gap in time lies between the last 3 frames; in training no gap did"
        in harness("forecast", runs(made)[0], *words).err
    )


def test_an_input_is_never_overwritten(made: Path, harness: Command, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(made / "radar.nc", engine="h5netcdf") as data:
        data.isel(time=slice(-6, None)).to_zarr(tmp_path / "last.zarr", consolidated=False)
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.tex").write_text("all of it")
    words = ("forecast", runs(made)[0], "--input", tmp_path / "last.zarr", "--store", made / "s")
    for out, said in (("last.zarr", "is the input, which would be lost"), ("mine.zarr", "is a folder")):
        answer = harness(*words, "--out", tmp_path / out)
        assert (answer.code, said in answer.err) == (2, True)
    assert (tmp_path / "mine.zarr" / "thesis.tex").read_text() == "all of it"
    for _ in range(2):  # an older forecast may be written again
        assert harness(*words, "--out", tmp_path / "f.zarr").code == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f.zarr", "last.zarr", "mine.zarr"]


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


@pytest.mark.parametrize("ending", ["nc", "npy", "zarr"])
def test_a_forecast_is_written_whole_or_not_at_all(
    made: Path, ending: str, harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xarray")
    words = ("forecast", runs(made)[0], "--store", made / "s", "--input", made / "radar.nc")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    answer = harness(*words, "--out", tmp_path / f"f.{ending}")
    assert (answer.code, "No space left on device; free space" in answer.err) == (1, True)
    assert not list(tmp_path.iterdir())


def test_the_recordings_of_a_folder_are_named(made: Path, harness: Command, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    (tmp_path / "several").mkdir()
    for number in (10, 9):
        np.save(tmp_path / "several" / f"storm{number}.npy", np.load(made / "last.npy")[-number:])
    words = ("--input", tmp_path / "several", "--out", tmp_path / "f.nc", "--store", made / "s")
    answer = harness("forecast", runs(made)[0], *words)
    assert answer.code == 0, answer.err
    with xarray.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as found:
        assert found["sequence"].values.tolist() == ["storm9.npy", "storm10.npy"]


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


@pytest.mark.parametrize(("kind", "ending"), [("onnx", "onnx"), ("torch-export", "pt2"), ("safetensors", "safetensors")])
def test_an_exported_network_answers_like_the_run(
    made: Path, kind: str, ending: str, harness: Command, tmp_path: Path
) -> None:
    first, _ = runs(made)
    out = tmp_path / f"m.{ending}"
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    answer = harness("export", first, "--store", made / "s", "--to", kind, "--out", out)
    assert answer.code == 0, answer.err
    one = trained(made, first)
    frames = torch.rand(3, 3, 1, 20, 24)
    expected = predict(one.model, frames, 3)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(None, {"frames": frames.numpy()})[0])
    elif kind == "torch-export":
        found = torch.export.load(out).module()(frames).detach()
    else:
        from safetensors.torch import load_file

        fresh = trained(made, runs(made)[1]).model
        fresh.load_state_dict(load_file(out))
        found = predict(fresh, frames, 3)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    card = (tmp_path / f"m.{ending}.md").read_text()
    assert "**Scaling** min-max" in card
    assert "mm/h" in card
    about = json.loads(card.split("```json\n")[1].split("\n```")[0])
    assert about["input"] == ["batch", 3, 1, 20, 24]


def test_a_wrong_ending_is_refused(made: Path, tmp_path: Path) -> None:
    from harness.runs.export import export

    with pytest.raises(RequestError, match=r"ends in \.pt2"):
        export(trained(made, runs(made)[0]), {}, {}, "torch-export", tmp_path / "m.onnx")
