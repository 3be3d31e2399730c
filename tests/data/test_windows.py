"""Windows: within a part, a recording and a stretch without gaps; never a frame in two parts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data import open_source
from harness.data.frames import open_frames
from harness.data.sequences import Frames
from harness.data.windows import split
from harness.errors import RequestError

DATA = Frames(input_frames=4, horizon=2, flip_horizontal=0.0, flip_vertical=0.0)


def recording(path: Path, frames: int, first: int = 0) -> Path:
    """A recording whose every frame has its number, in 1/1000, as all of its pixels."""
    numbers = np.arange(first, first + frames, dtype=np.float32) / 1000
    np.save(path, np.broadcast_to(numbers[:, None, None], (frames, 8, 8)))
    return path


def numbers(frames: torch.Tensor) -> np.ndarray:
    return (frames[:, :, 0, 0, 0] * 1000).round().int().numpy()


def seen(source: object, steps: int, size: int) -> np.ndarray:
    return np.concatenate([numbers(source.train_batch(0, step, size, 2, "cpu")) for step in range(steps)])  # type: ignore[attr-defined]


def held(batches: object) -> np.ndarray:
    return numbers(torch.cat(list(batches)))  # type: ignore[call-overload]


def test_a_recording_is_cut_in_time_and_no_frame_is_in_two_parts(tmp_path: Path) -> None:
    source = open_source(dataclasses.replace(DATA, path=str(recording(tmp_path / "a.npy", 200))))
    train = seen(source, 31, 5)
    assert source.epoch_sequences == 155, "every start in the first 160 frames"
    assert sorted(train[:, 0].tolist()) == list(range(155))
    assert (np.diff(train, axis=1) == 1).all()
    assert train.max() == 159
    validation, test = held(source.validation(2, "cpu")), held(source.test(2, "cpu"))
    assert validation.tolist() == [[160 + 6 * at + one for one in range(6)] for at in range(3)]
    assert test.tolist() == [[180 + 6 * at + one for one in range(6)] for at in range(3)]


def test_stride_and_shares_are_the_users(tmp_path: Path) -> None:
    data = dataclasses.replace(DATA, path=str(recording(tmp_path / "a.npy", 100)), stride=3, split=(0.5, 0.25, 0.25))
    source = open_source(data)
    assert sorted(seen(source, 1, source.epoch_sequences)[:, 0].tolist()) == list(range(0, 45, 3))
    assert held(source.validation(9, "cpu"))[:, 0].tolist() == list(range(50, 70, 3))
    assert held(source.test(9, "cpu"))[:, 0].tolist() == list(range(75, 95, 3))


def test_windows_cross_neither_recordings_nor_gaps(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    times = np.datetime64("2020-01-01", "ns") + np.arange(100) * np.timedelta64(5, "m")
    times[30:] += np.timedelta64(3, "h")
    values = np.arange(100, dtype=np.float32)[:, None, None] / 1000 * np.ones((100, 8, 8), np.float32)
    xarray.Dataset({"rain": (("time", "y", "x"), values)}, coords={"time": times}).to_netcdf(
        tmp_path / "a.nc", engine="h5netcdf"
    )
    source = open_source(dataclasses.replace(DATA, path=str(tmp_path / "a.nc")))
    starts = sorted(seen(source, 1, source.epoch_sequences)[:, 0].tolist())
    assert starts == [*range(25), *range(30, 75)], "no window has frames 29 and 30"

    (tmp_path / "several").mkdir()
    for number, frames in enumerate((60, 40)):
        recording(tmp_path / "several" / f"{number}.npy", frames, 100 * number)
    source = open_source(dataclasses.replace(DATA, path=str(tmp_path / "several")))
    starts = sorted(seen(source, 1, source.epoch_sequences)[:, 0].tolist())
    assert starts == [*range(43), *range(100, 127)], "each is cut in time: 48 and 32 frames train"


def test_many_recordings_are_set_aside_whole(tmp_path: Path) -> None:
    for number in range(10):
        recording(tmp_path / f"{number}.npy", 12, 20 * number)
    source = open_source(dataclasses.replace(DATA, path=str(tmp_path)))
    assert source.epoch_sequences == 8 * 7
    assert set((held(source.validation(9, "cpu")) // 20).flatten()) == {8}
    assert set((held(source.test(9, "cpu")) // 20).flatten()) == {9}


def test_fewer_test_windows_are_spread_over_the_part(tmp_path: Path) -> None:
    data = dataclasses.replace(DATA, path=str(recording(tmp_path / "a.npy", 600)), test_sequences=4)
    assert held(open_source(data).test(9, "cpu"))[:, 0].tolist() == [540, 558, 576, 594]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"horizon": 100}, "training part has at most 80 frames in a row.* need 104"),
        ({"horizon": 8}, "validation part has at most 10 frames .* need 12"),
        ({"split": (0.9, 0.2, 0.1)}, "three shares that add up to 1"),
    ],
)
def test_parts_that_hold_no_window_are_refused(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    path = recording(tmp_path / "a.npy", 100)
    with pytest.raises(RequestError, match=said):
        open_source(dataclasses.replace(DATA, path=str(path), **changes))  # type: ignore[arg-type]


def test_test_windows_that_share_frames_with_training_are_refused(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.npy", 100)
    (tmp_path / "copy.npy").write_bytes(path.read_bytes())
    with pytest.raises(RequestError, match="share frames with training"):
        open_source(dataclasses.replace(DATA, path=str(path), evaluation=str(tmp_path / "copy.npy")))


@pytest.mark.parametrize("count", range(3, 45))
def test_shares_of_sequences_are_the_tenths_of_before(count: int, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((count, 6, 4, 4), np.uint8))
    training, validation, test = split(open_frames(tmp_path / "a.npy", "NTHW"), (0.8, 0.1, 0.1), 6)
    tenth = max(1, count // 10)
    assert (len(training), len(validation), len(test)) == (count - 2 * tenth, tenth, tenth)
