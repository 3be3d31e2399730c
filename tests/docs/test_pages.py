"""Every command and Python snippet of the documentation is executed, at preset tiny; every relative link leads somewhere.

Pages of WHOLE train what they say, in fewer steps. Elsewhere `run` and `ablate` get --dry-run, which reads every word and builds
every cell, and a study one trial. What needs another machine or a network (ELSEWHERE) is parsed; the tests beside it execute it
with stand-ins.
"""

from __future__ import annotations

import doctest
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import typer.main
from commands import Command
from pages import HOUSE, PAGES, RESULTS, Snippet, anchors, links, snippets

WHOLE = {"tutorial.md"}
OWN_TEST = {"your-data.md": "tests/test_your_data.py", "data-frames.md": "tests/store/test_frames.py"}
ELSEWHERE = {
    "--storage": "tests/tuning/test_postgresql.py",
    "HARNESS_STORAGE": "tests/tuning/test_postgresql.py",
    "--dashboard": "tests/tuning/test_command.py",
    "--each": "tests/tuning/test_command.py",
    "--confirm": "tests/tuning/test_confirm.py",
    "--executor": "tests/executors",
    "--pdf": "tests/reports",
    "--workers": "tests/executors",
    "fetch": "tests/data/test_digits.py",
    "--install-completion": "tests/test_install.py",
    "bench": "tests/bench",
    "lpips": "tests/evaluation/metrics",
    "openstl": "tests/training/test_start.py",
    "onnx": "tests/runs",
    "--migrate": "tests/maintenance",
    "--extend": "tests/training/test_extension.py",
    "merge": "tests/store",
    "pack": "tests/store/test_packing.py",
    "export": "tests/store",
    "import": "tests/store",
    "frame": "tests/store/test_frames.py",
    "reproduce": "tests/runs/test_reproduce.py",
    "--track": "tests/trackers",
    "watch": "tests/watching",
    "--site": "tests/reports",
}
"""A word of a command that needs more than this machine, and the tests that execute it."""
CODES = {"compare": {0, 1, 3}, "doctor": {0, 1}}
"""Exit codes that are an answer."""


@pytest.fixture
def desk(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> Path:
    """A folder with all that the pages speak of: a store in artifacts/, files of predictions, a table of results, digits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    store.rename(tmp_path / "artifacts")
    for name in ("STORE_A", "STORE_B"):
        shutil.copytree("artifacts", name)
    for seed in range(3):
        np.save(f"{seed}.npy", np.full((8, 3, 1, 16, 16), seed / 10, np.float32))
    np.save("mnist_test_seq.npy", np.zeros((6, 12, 16, 16), np.uint8))
    shutil.copy(HOUSE / "examples" / "own_loss.py", tmp_path)
    Path("results.csv").write_text(
        "model,seed,test/ssim,loss\n"
        + "".join(f"{arm},{seed},{0.5 + seed / 100},1\n" for arm in ("baseline", "b") for seed in range(4))
    )
    Path("theirs.py").write_text("def predict(inputs, horizon):\n    return inputs[:, -1:].repeat(1, horizon, 1, 1, 1)\n")
    Path("mine.py").write_text((HOUSE / "tests/contract/example_file.py").read_text().replace("two-stage", "mine"))
    return tmp_path


def shortened(words: list[str], whole: bool) -> list[str]:
    """The same command, made quick."""
    runs = sorted(path.parent.name for path in Path("artifacts/runs").glob("*/result.json"))
    words = [re.sub(r"\bRUN\b", runs[0], word).replace("cuda:0", "cpu").replace("cuda", "cpu") for word in words]
    name = words[0] if words else ""
    if name in ("run", "ablate", "study", "score") or words[:2] == ["data", "export"]:
        words = [*words, *(() if "--preset" in words else ("--preset", "tiny"))]
        words[words.index("--preset") + 1] = "tiny"
    words = [re.sub(r"^training\.(steps|validate_every)=\d+$", r"training.\1=6", word) for word in words]
    if name in ("run", "ablate") and not whole and "--dry-run" not in words:
        words = [*words, "--dry-run"]
    if name == "ablate":
        words = [*words, "--workers", "1"]
    if "--metric" in words and "--margin" not in words:
        words = [*words, "--margin", "1"]  # no noise is known at this preset
    if name == "study":
        words = [*words, "--trials", "1", "--workers", "1"]
    return words


def parsed(words: list[str]) -> None:
    """The command's words, options and types are right; nothing is done."""
    from harness.cli.app import app

    command: Any = typer.main.get_command(app)
    context = None
    while hasattr(command, "commands"):
        name, *words = words
        if any(name in parameter.opts for parameter in command.params):
            return
        command = command.commands[name]
    command.make_context(name, words, parent=context)


def execute(snippet: Snippet, page: Path, harness: Command, names: dict[str, Any]) -> None:
    where = f"{page.name}:{snippet.line}: {snippet.text}"
    if snippet.python:
        if found := re.match(r"# (\w+\.py)\n", snippet.text):
            Path(found[1]).write_text(snippet.text)
        elif ">>>" in snippet.text:
            test = doctest.DocTestParser().get_doctest(snippet.text, {}, page.name, str(page), snippet.line)
            assert doctest.DocTestRunner().run(test).failed == 0, where
        else:
            exec(compile(snippet.text, where, "exec"), names)
    elif snippet.words[0] == "harness" and "..." not in snippet.words:
        words = snippet.words[1:]
        if any(mark in word for mark in ELSEWHERE for word in words):
            parsed(words)
        else:
            for one in words[-1].split("|") if words else [""]:  # list variants|components|...
                answer = harness(*shortened([*words[:-1], one] if one else [], page.name in WHOLE))
                assert answer.code in CODES.get(next(iter(words), ""), {0}), f"{where}: {answer.err}"
    elif snippet.words[0] == "make":
        assert f"\n{snippet.words[-1]}: " in (HOUSE / "Makefile").read_text(), where


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_snippet_of_a_page_runs(page: Path, desk: Path, harness: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.name in OWN_TEST:
        assert (HOUSE / OWN_TEST[page.name]).is_file()
        for snippet in snippets(page):
            if not snippet.python and snippet.words[0] == "harness" and "..." not in snippet.words:
                parsed(snippet.words[1:])
        return
    session = ModuleType("__main__")  # a class of a snippet is found as one of a notebook is
    monkeypatch.setitem(sys.modules, "__main__", session)
    if page.name == "CONTRIBUTING.md":
        layer = torch.nn.Conv3d(1, 1, 1)  # what a profile is made of; the page profiles the reader's own network
        vars(session).update(model=lambda frames, horizon: layer(frames), frames=torch.zeros(1, 1, 2, 8, 8), horizon=1)
    for snippet in snippets(page):
        execute(snippet, page, harness, vars(session))


def test_the_tests_that_execute_the_rest_exist() -> None:
    assert all((HOUSE / place).exists() for place in ELSEWHERE.values())


@pytest.mark.parametrize("page", [*PAGES, *RESULTS], ids=lambda page: str(page.relative_to(HOUSE)))
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    for target in links(page):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if "generated" in place.parts:
            place = page  # made by a build of the site, which fails on a link that leads nowhere
        else:
            assert place.exists(), f"{page.name} links to {target}"
            if anchor:
                assert anchor in anchors(place), f"{page.name} links to {target}"
