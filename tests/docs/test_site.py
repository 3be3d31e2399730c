"""The site builds without a warning, has every component and command, and llms.txt is that of its pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pages import HOUSE

from harness.cli import listing
from harness.variant import Variants


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(tmp_path)]
    built = subprocess.run(words, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    components = (tmp_path / "generated/components.html").read_text()
    for row in listing.components(Variants(third_party=False).components):
        assert f">{row['name']}<" in components
        for field in row["fields"]:
            assert f">{field['name']}<" in components
    commands = (tmp_path / "generated/commands.html").read_text()
    assert "--margin" in commands
    assert "or answer from the store when it is finished" in commands  # not cut as on a terminal
    assert (tmp_path / "results/2026-11-26-cpu/README.html").is_file()
    assert (tmp_path / "llms.txt").read_text().startswith("# ablation-harness\n")


def test_llms_txt_is_current() -> None:
    made = subprocess.run(
        [sys.executable, "-c", "import generate; print(generate.llms(), end='')"],
        cwd=HOUSE / "docs",
        capture_output=True,
        text=True,
        check=True,
    )
    assert (HOUSE / "docs/llms.txt").read_text() == made.stdout, "run `make docs`"
