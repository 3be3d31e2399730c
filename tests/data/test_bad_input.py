"""Files that cannot be used, as a user names them at the command line: one line that says why, and nothing is written or lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import Answer, Command
from PIL import Image

from harness.data.frames import FrameFile

pytestmark = pytest.mark.usefixtures("quick")
RANDOM = np.random.default_rng(0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(harness: Command, path: str, *settings: str, steps: int = 2) -> Answer:
    words = [word for one in settings for word in ("--set", one)]
    tiny = ("--preset", "tiny", "--device", "cpu", "--set", f"training.steps={steps}", "--store", "s")
    return harness("run", *tiny, "--set", "data=frames", "--set", f"data.path={path}", *words, "--json")


def array(*shape: int) -> np.ndarray:
    return RANDOM.random(shape).astype(np.float32)


def saved(content: np.ndarray) -> str:
    np.save("a.npy", content)
    return "a.npy"


def folder() -> Path:
    Path("d").mkdir()
    return Path("d")


def unequal_sizes() -> str:
    Image.new("L", (16, 16)).save(folder() / "1.png")
    Image.new("L", (16, 18)).save("d/2.png")
    return "d"


def mixed_formats() -> str:
    Image.new("L", (16, 16)).save(folder() / "1.png")
    np.save("d/2.npy", array(40, 16, 16))
    return "d"


def mixed_types() -> str:
    np.save(folder() / "1.npy", array(40, 16, 16))
    np.save("d/2.npy", np.zeros((40, 16, 16), np.uint8))
    return "d"


def frames_of_unequal_sizes() -> str:
    np.save(folder() / "1.npy", array(16, 16))
    np.save("d/2.npy", array(16, 18))
    return "d"


def corrupt_chunk() -> str:
    h5py = pytest.importorskip("h5py")
    content = RANDOM.integers(0, 256, (60, 16, 16), dtype=np.uint8)
    with h5py.File("a.h5", "w") as file:
        made = file.create_dataset("rain", data=content, chunks=(6, 16, 16), compression="gzip")
        offset = made.id.get_chunk_info(5).byte_offset
    with open("a.h5", "r+b") as raw:
        raw.seek(offset + 8)
        raw.write(b"\xff" * 32)
    return "a.h5"


def video_without_frames() -> str:
    av = pytest.importorskip("av")
    with av.open("a.avi", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.open()
        container.start_encoding()
    return "a.avi"


def container_without_a_video() -> str:
    av = pytest.importorskip("av")
    with av.open("a.mp4", "w") as container:
        container.add_stream("aac", rate=8000).codec_context.open()
        container.start_encoding()
    return "a.mp4"


def empty_file() -> str:
    Path("a.mp4").write_bytes(b"")
    return "a.mp4"


def channel_of_nan() -> str:
    content = array(60, 2, 16, 16)
    content[:, 1] = np.nan
    return saved(content)


@pytest.mark.parametrize(
    ("make", "settings", "said"),
    [
        (lambda: saved(np.zeros((0, 16, 16), np.uint8)), (), "shape (0, 16, 16); frames are (T, H, W)"),
        (lambda: saved(array(1, 12, 16, 16)), ("data.layout=N T H W",), "holds 1 sequence; at least 3 are needed"),
        (unequal_sizes, (), "images of unequal size or type: 1.png is 16x16 L, 2.png is 18x16 L"),
        (mixed_formats, (), "mixes kinds of files (1.png, 2.npy"),
        (mixed_types, (), "of float32, 2.npy (1, 16, 16) of uint8; give recordings of one size and type"),
        (frames_of_unequal_sizes, (), "1.npy is (16, 16) of float32, 2.npy is (16, 18) of float32; give files of one size"),
        (corrupt_chunk, (), "a.h5: [30:31, 0:16, 0:16] cannot be read"),
        (video_without_frames, (), "a.avi is a video of 0 frames of 32x32"),
        (container_without_a_video, (), "a.mp4 cannot be read as a video (it holds none)"),
        (empty_file, (), "a.mp4 cannot be read as a video"),
        (lambda: saved(array(20, 40, 16, 16)), (), '"N T H W" (20 sequences of 40 frames, 1 channel, 16x16) or "T N H W"'),
        (lambda: saved(array(30, 16, 16)), ("data.horizon=40",), "at most 24 frames in a row, and data.input_frames"),
        (
            lambda: saved(array(9, 5, 16, 16)),
            ("data.horizon=40", "data.layout=NTHW"),
            "sequences of 5 frames; data.input_frames",
        ),
        (
            channel_of_nan,
            ("data.layout=T C H W", "data.missing=nan"),
            "channel 1 of the training part of a.npy has missing values only",
        ),
        (
            lambda: saved(np.full((60, 16, 16), 7, np.uint8)),
            (),
            "training part of a.npy is constant (7), so there is nothing to learn",
        ),
        (
            lambda: saved(np.full((60, 16, 16), 7.5)),
            ("data.scaling=min-max",),
            "a.npy is constant (7.5), so there is nothing to learn",
        ),
        (lambda: str(folder()), (), "d is a folder without frames; give a .npy"),
    ],
)
def test_one_line_says_what_is_wrong_and_nothing_is_written(
    make: Callable[[], str], settings: tuple[str, ...], said: str, here: Path, harness: Command
) -> None:
    answer = run(harness, make(), *settings)
    assert answer.code == 2
    assert said in answer.error
    assert not [path for path in Path("s").rglob("*") if path.is_file()]


def test_a_file_that_grows_while_it_trains_ends_the_run_which_goes_on_when_it_is_as_it_was(
    here: Path, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(array(60, 16, 16))
    assert run(harness, path).code == 0
    content, window, reads = Path(path).read_bytes(), FrameFile.window, [0]

    def growing(self: FrameFile, recording: int, frames: slice) -> np.ndarray:
        reads[0] += 1
        if reads[0] == 8:
            with open(path, "ab") as file:
                file.write(bytes(1024))
        return window(self, recording, frames)

    monkeypatch.setattr(FrameFile, "window", growing)
    answer = run(harness, path, steps=6)
    assert answer.code == 1
    assert "changed while it was in use" in answer.error
    monkeypatch.undo()
    monkeypatch.chdir(here)
    Path(path).write_bytes(content)
    assert run(harness, path).document["cached"], "the first run is there as before"
    assert run(harness, path, steps=6).code == 0
