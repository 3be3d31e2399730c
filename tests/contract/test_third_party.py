"""A third party adds a variant without touching the harness, and the contract says what is wrong with one."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.testing import VariantContract

HERE = Path(__file__).parent
BROKEN = HERE / "broken_plugins.py"


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


def wrong(name: str, folder: Path) -> set[str]:
    """The tests of the contract that a variant of the broken plugins fails."""

    class Contract(VariantContract):
        variant = name
        plugin = BROKEN
        __test__ = False

    failed = set()
    for test in dir(Contract):
        if test.startswith("test_"):
            method = getattr(Contract(), test)
            with pytest.MonkeyPatch.context() as monkeypatch:
                fixtures = {"tmp_path": folder / test, "monkeypatch": monkeypatch}
                try:
                    method(**{one: fixtures[one] for one in inspect.signature(method).parameters})
                except (Exception, pytest.fail.Exception):
                    failed.add(test)
    return failed


@pytest.mark.parametrize(
    ("name", "tests"),
    [
        (
            "wrong-shape",  # refused by the network itself, so in every test that runs it
            {
                "every_parameter_learns",
                "is_a_function_of_its_input",
                "learns_in_16_bits",
                "maps_frames_to_every_horizon",
                "predicts_the_mean_over_its_views",
                "sequences_of_a_batch_do_not_mix",
                "the_fast_path_equals_the_reference",
                "trains_to_a_finite_result",
            },
        ),
        ("dead-parameter", {"every_parameter_learns"}),
        ("order-dependent", {"initial_weights_follow_from_the_seed_alone", "the_fast_path_equals_the_reference"}),
        ("mixes-sequences", {"sequences_of_a_batch_do_not_mix"}),
        (
            "random",
            {
                "is_a_function_of_its_input",
                "the_fast_path_equals_the_reference",
                "predicts_the_mean_over_its_views",
                "sequences_of_a_batch_do_not_mix",
                "trains_to_a_finite_result",
            },
        ),
        ("undocumented", {"components_are_frozen_documented_and_comparable"}),
        ("shrinking", {"a_curriculum_grows_to_the_full_horizon"}),
        ("speechless", {"loads_and_says_what_it_is_and_where_it_comes_from"}),
        ("sourceless", {"loads_and_says_what_it_is_and_where_it_comes_from"}),
    ],
)
def test_the_contract_finds_the_mistake_and_no_other(name: str, tests: set[str], tmp_path: Path) -> None:
    assert wrong(name, tmp_path) == {f"test_{test}" for test in tests}


def test_the_contract_finds_frames_that_are_not_finite(tmp_path: Path) -> None:
    assert wrong("not-finite", tmp_path) >= {
        "test_maps_frames_to_every_horizon",
        "test_every_parameter_learns",
        "test_trains_to_a_finite_result",
    }


def test_a_variant_that_does_not_load_fails_the_whole_contract(tmp_path: Path) -> None:
    assert wrong("missing", tmp_path) == {test for test in dir(VariantContract) if test.startswith("test_")}


def test_a_contract_without_a_variant_says_what_to_write() -> None:
    class Nameless(VariantContract):
        __test__ = False

    with pytest.raises(pytest.fail.Exception, match="write variant = 'name'"):
        Nameless().test_survives_json_with_the_same_identity()
