"""A site says of each plan what was asked, the answer and when; its links are relative and lead somewhere."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

from commands import Command
from fake_store import Fake, cell, without_sync, write_plan, write_run

from harness.store import Folder


class Links(HTMLParser):
    """Every address in a page, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def make(root: Path) -> None:
    """Two plans, one of which helps, and a third of which nothing is finished."""
    with without_sync():
        for settings, name, gain in (({}, "attention", 0.05), ({"training.steps": 12}, "residual", -0.05)):
            cells = [(arm, cell(arm, seed, "tiny", settings)) for seed in range(4) for arm in ("base", name)]
            for arm, one in cells:
                noise = 0.0005 * (-1) ** one.seed * (arm != "base")
                write_run(root, one, Fake(ssim=0.6 + gain * (arm != "base") + noise))
            write_plan(root, f"base,{name}", cells)
        write_plan(root, "base,tta", [(arm, cell(arm, 9, "tiny")) for arm in ("base", "tta")])
    plans = Folder(root / "plans")
    for path in plans.path.iterdir():
        record = plans.read(path.name)
        plans.write(path.name, record | {"command": f"harness ablate --plan {record['plan']} <b>"})
        if record["plan"] == "base,residual":
            newest = path
    for path in root.rglob("*.json"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # 2023-11-14
    os.utime(newest, (1_800_000_000, 1_800_000_000))  # 2027-01-15


def test_the_index_answers_and_every_link_leads_somewhere(tmp_path: Path, harness: Command) -> None:
    make(tmp_path / "store")
    answer = harness("report", "--store", tmp_path / "store", "--site", tmp_path / "site")
    assert answer.code == 0, answer.err
    index = tmp_path / "site/index.html"
    assert answer.out.strip() == str(index)
    found = Links(index)
    pages = [one for one in found.addresses if not one.startswith("data:")]
    assert len(pages) == 2
    for address in pages:
        assert "://" not in address
        assert not address.startswith("/")
        assert (index.parent / address).is_file()
    assert found.text.index("residual hurts") < found.text.index("attention helps")  # the newer first
    assert "harness ablate --plan base,tta <b>" in found.text
    assert "No run is finished yet." in found.text
    assert "2027-01-15 · preset tiny · 4 seeds · 8 of 8 runs finished" in found.text
    assert (tmp_path / "site/.nojekyll").is_file()
    # A plan's page is of that plan alone.
    page = Links(index.parent / pages[0])
    assert "residual hurts" in page.text
    assert "attention helps" not in page.text
    local = [one for one in page.addresses if "://" not in one and not one.startswith(("data:", "#"))]
    assert all((index.parent / pages[0]).parent.joinpath(one).exists() for one in local)


def test_a_site_is_written_again_and_nothing_of_others_is_lost(tmp_path: Path, harness: Command) -> None:
    make(tmp_path / "store")
    words = ("report", "--store", tmp_path / "store", "--site", tmp_path / "site")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("<h1>mine</h1>")
    assert "no site of the harness is there" in harness(*words).error
    assert (tmp_path / "site/index.html").read_text() == "<h1>mine</h1>"
    (tmp_path / "site/index.html").unlink()
    assert harness(*words).code == 0
    first = (tmp_path / "site/index.html").read_bytes()
    assert harness(*words).code == 0
    assert (tmp_path / "site/index.html").read_bytes() == first
    assert "leave out --out and --pdf" in harness(*words, "--pdf").error
    assert "has no plan" in harness("report", "--store", tmp_path / "none", "--site", tmp_path / "x").error
