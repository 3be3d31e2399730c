"""The site builds without a warning, has every component and command, and llms.txt is that of its pages."""

from __future__ import annotations

import re
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
    gallery = (tmp_path / "generated/gallery.html").read_text()
    assert "at most 5.3% of tables have a false claim (a simulation)" in gallery
    assert "Charbonnier" in (tmp_path / "generated/examples.html").read_text()  # a script, not its name alone
    said = (tmp_path / "llms.txt").read_text()
    linked = re.findall(r"\]\(([^)]+)\)", said)
    assert said.startswith("# ablation-harness\n")
    assert "_sources/tutorial.md" in linked
    assert [one for one in linked if not (tmp_path / one).is_file()] == []
    published = {path.name: path.read_bytes() for path in (tmp_path / "_downloads").glob("*/*.json")}
    assert published == {path.name: path.read_bytes() for path in (HOUSE / "docs/schemas").glob("*.json")}


def test_llms_txt_is_current() -> None:
    made = subprocess.run(
        [sys.executable, "-c", "import generate; print(generate.llms(), end='')"],
        cwd=HOUSE / "docs",
        capture_output=True,
        text=True,
        check=True,
    )
    assert (HOUSE / "docs/llms.txt").read_text() == made.stdout, "run `make docs`"
