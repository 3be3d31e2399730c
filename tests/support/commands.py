"""The `harness` command called in this process, as tests see it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """stdout as one JSON document; anything else on it fails."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr that explains a failure."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, f"expected one line of error, stderr is {self.err!r}"
        assert "Traceback" not in self.err
        return lines[0]


Command = Callable[..., Answer]


def contents(root: Path) -> dict[str, str]:
    """Every file below a folder but the locks, with the digest of its content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "locks" not in path.relative_to(root).parts
    }


def refused(answer: Any, *said: str, code: int = 2) -> None:
    assert answer.code == code, answer
    assert answer.out == ""
    for words in said:
        assert words in answer.error


def idx(images: np.ndarray[Any, Any], magic: bytes = b"\0\0\x08\x03") -> bytes:
    return magic + struct.pack(">3I", *images.shape) + images.tobytes()
