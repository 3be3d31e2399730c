"""The `harness` command called in this process, as tests see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
