"""Writes the pins of constraints.txt into pyproject.toml for uv, which reads no other file: `make lock`."""

from __future__ import annotations

import re
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]


def pins() -> list[str]:
    """The pins of constraints.txt, without comments."""
    lines = (HOUSE / "constraints.txt").read_text().splitlines()
    return [pin for line in lines if (pin := line.partition("#")[0].strip())]


if __name__ == "__main__":
    project = HOUSE / "pyproject.toml"
    listed = "".join(f'  "{pin}",\n' for pin in pins())
    text = re.sub(
        r"(?s)(\nconstraint-dependencies = \[\n).*?\]\n", lambda found: f"{found[1]}{listed}]\n", project.read_text()
    )
    project.write_text(text)
