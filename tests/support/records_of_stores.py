"""A record, and a disk that is full."""

from __future__ import annotations

import errno
import os
from typing import Any

RECORD = {"metrics": {"ssim": 0.5}, "frames": [1, 2], "text": "Größe"}


def fail_with_no_space(*args: object, **options: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
