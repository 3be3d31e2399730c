"""A third party adds a variant without touching the harness."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.testing import VariantContract

HERE = Path(__file__).parent


class TestOneFile(VariantContract):
    variant = "two-stage"
    plugin = HERE / "example_file.py"


class TestOneFileWithBuiltIns(VariantContract):
    variant = "attention+two-stage+tta"
    plugin = HERE / "example_file.py"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The example package, installed into a folder of its own: its source, and an environment that sees it."""
    place = tmp_path_factory.mktemp("third_party")
    source = shutil.copytree(HERE / "example_plugin", place / "source")
    words = ["install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *words, "--target", place / "site", source], check=True)
    return source, os.environ | {"PYTHONPATH": str(place / "site"), "HARNESS_STORE": str(place / "store")}


def test_an_installed_package_passes_the_contract_with_its_own_tests(installed: tuple[Path, dict[str, str]]) -> None:
    source, environment = installed
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_dilated.py"]
    done = subprocess.run(words, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "154 passed" in done.stdout


def test_an_installed_package_and_a_file_run_together(installed: tuple[Path, dict[str, str]]) -> None:
    source, environment = installed
    words = [
        "run",
        "--preset",
        "tiny",
        "--plugin",
        str(HERE / "example_file.py"),
        "--variant",
        "two-stage+dilated",
        "--json",
    ]
    code = "import sys; from harness.cli.app import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["variant"] == "dilated+two-stage"
    assert record["status"] == "finished"
    stored = json.loads(Path(record["path"], "experiment.json").read_text())["experiment"]
    assert stored["architecture"]["bottleneck"]["name"] == "dilated"
    assert stored["architecture"]["bottleneck"]["revision"] == 2
    assert stored["training"]["curriculum"]["name"] == "two-stage"


def test_an_installed_packages_study_tunes_its_variant(installed: tuple[Path, dict[str, str]]) -> None:
    source, environment = installed
    words = ["study", "clipping", "--variant", "dilated", "--preset", "tiny", "--trials", "2", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.app", *words],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(trial["arm"], trial["state"]) for trial in document["trials"]] == [("as it is", "COMPLETE"), (None, "COMPLETE")]
    assert 0.1 <= document["trials"][1]["settings"]["training.clip_norm"] <= 10
    assert "clip_norm" in Path(document["best"]["config"]).read_text()
