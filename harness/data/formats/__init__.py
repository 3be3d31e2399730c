"""Files and folders of frames, one module a format; each gives `Array`s that are read by parts. Heavy libraries are extras."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.data.formats import images, videos
from harness.data.formats.array import Array
from harness.data.formats.frame_files import holds_a_frame, stacked
from harness.data.formats.hdf5 import open_hdf5
from harness.data.formats.netcdf import open_netcdf
from harness.data.formats.numpy_files import LARGEST_UNPACKED, open_numpy
from harness.data.formats.zarr_stores import is_zarr, open_zarr
from harness.errors import RequestError

__all__ = ["FORMATS", "LARGEST_UNPACKED", "Array", "open_arrays"]

FORMATS = "a .npy, .npz, HDF5 (.h5), Zarr or NetCDF (.nc) file, a video, or a folder of images, videos or such files"
_BY_ENDING: Mapping[str, Callable[[Path, str], Array]] = {
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".he5"), open_hdf5),
    **dict.fromkeys((".nc", ".nc4", ".cdf"), open_netcdf),
    **dict.fromkeys(videos.ENDINGS, lambda path, variable: videos.open_video(path)),
}


def open_arrays(path: Path, variable: str = "") -> list[Array]:
    """The arrays of a file or folder: one of a file, one for each recording of a folder, in the natural order of names.

    Raises RequestError for what is missing, damaged or of no known format.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return [open_zarr(path, variable)] if is_zarr(path) else _folder(path, variable)
        if not stat.S_ISREG(mode):  # a pipe would block for ever
            raise RequestError(f"the frames file {path} cannot be read: it is no file; give {FORMATS}, or moving-mnist")
        return [_BY_ENDING.get(path.suffix.lower(), open_numpy)(path, variable)]
    except FileNotFoundError:
        raise RequestError(f"the frames file {path} does not exist; give {FORMATS}, or moving-mnist") from None
    except (OSError, ValueError) as error:  # ValueError: no path at all, such as one with a zero byte
        raise RequestError(f"the frames file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _folder(path: Path, variable: str) -> list[Array]:
    """Recordings of a folder: its files of one format, or its folders of images."""
    inside = sorted((one for one in path.iterdir() if not one.name.startswith(".")), key=images.natural)
    pictures = [one for one in inside if one.suffix.lower() in images.ENDINGS]
    readable = (".npy", ".npz", *_BY_ENDING)
    files = [one for one in inside if one.suffix.lower() in readable and one.is_file()]
    folders = [one for one in inside if one.is_dir()]
    kinds = {name for name, found in (("images", pictures), ("recordings", files), ("folders", folders)) if found}
    endings = sorted({one.suffix.lower() for one in files if one.suffix.lower() not in videos.ENDINGS}) if files else []
    if len(kinds) > 1 or len(endings) > 1 or (endings and len(endings) != len({one.suffix.lower() for one in files})):
        listed = ", ".join(one.name for one in inside[:6])
        raise RequestError(
            f"{path} mixes kinds of files ({listed}, ...); give a folder of images, of folders of images, or of one format"
        )
    if pictures:
        return [images.open_images(path, pictures)]
    if files:
        return _recordings(path, files, variable)
    if folders:
        return [array for one in folders for array in open_arrays(one, variable)]
    raise RequestError(f"{path} is a folder without frames; give {FORMATS}")


def _recordings(folder: Path, files: Sequence[Path], variable: str) -> list[Array]:
    """A recording a file; one of all files, where each holds a frame."""

    def open_one(path: Path) -> Array:
        return open_arrays(path, variable)[0]

    if len(files) > 1 and holds_a_frame(open_one(files[0])):
        return [stacked(folder, files, open_one)]
    return [open_one(path) for path in files]
