"""docs/your-data.md: every command runs, in its order, on the recording that it speaks of."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from commands import Command

PAGE = (Path(__file__).parents[1] / "docs" / "your-data.md").read_text()
COMMANDS = [line for line in PAGE.split("```")[1].splitlines() if line.startswith("harness ")]


@pytest.mark.slow
def test_the_page_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harness: Command, quick: None) -> None:
    xarray = pytest.importorskip("xarray")
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:20, :28]
    rain = np.stack([40 * np.exp(-((x - t % 28) ** 2 + (y - 9) ** 2) / 20) for t in range(400)]).astype(np.float32)
    rain[:, :3, :3] = np.nan
    times = np.datetime64("2020-01-01", "ns") + np.arange(400) * np.timedelta64(5, "m")
    data = xarray.Dataset(
        {"rain": (("time", "lat", "lon"), rain, {"units": "mm/h"})},
        coords={"time": times, "lat": np.linspace(50, 49, 20), "lon": np.linspace(5, 6, 28)},
    )
    data.to_netcdf("radar.nc", engine="h5netcdf")
    data.isel(time=slice(-10, None)).to_netcdf("last.nc", engine="h5netcdf")
    assert len(COMMANDS) == 6
    found = ""
    for line in COMMANDS:
        ids = [path.parent.name for path in sorted(Path("artifacts/runs").glob("*/result.json"))]
        for one in ids[: line.count("RUN")]:
            line = line.replace("RUN", one, 1)
        answer = harness(*shlex.split(line)[1:])
        assert answer.code == 0, f"{line}: {answer.err}"
        found += answer.err
    understood = " ".join(PAGE.split("under `data`:")[1].split("\n\n")[1].split()).replace(" 0..40 ", " ")
    for part in ("read as T H W; train 315 windows of 3+3 frames, 1 channel, 20x28 padded to 24x32", "validation 4; test 6"):
        assert part in found
        assert part in understood
    with xarray.open_dataset("forecast.nc", engine="h5netcdf") as forecast:
        assert forecast["rain"].shape == (6, 20, 28)
        assert "spread" in forecast
