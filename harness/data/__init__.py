"""Sequences of frames: where digits come from, how they move, files of frames, and one `Source` over all of it.

Nothing here imports torch until a batch is asked for.
"""

from harness.data.digits import Digits, FileCheck, load_digits, verify_digits
from harness.data.frames import FrameFile, open_frames
from harness.data.mirrors import fetch_digits
from harness.data.source import Source, open_source

__all__ = [
    "Digits",
    "FileCheck",
    "FrameFile",
    "Source",
    "fetch_digits",
    "load_digits",
    "open_frames",
    "open_source",
    "verify_digits",
]
