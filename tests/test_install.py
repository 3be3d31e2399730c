"""Installing: the wheel works with no repository around it, pins agree, completion is on, the container does what README says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())
OURS = re.compile(r"(?i)__editable__|ablation_harness|.*\.(pth|egg-link)$|__pycache__|_virtualenv")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (HOUSE / "constraints.txt").read_text().splitlines()
    return dict(line.partition("#")[0].strip().split("==") for line in lines if line.partition("#")[0].strip())


def test_uv_takes_the_versions_of_the_constraints() -> None:
    uv = PROJECT["tool"]["uv"]["constraint-dependencies"]
    assert uv == [f"{name}=={version}" for name, version in pins().items()], "run `make lock`"


APART = {"pdf", "wandb", "trackio"}
"""Extras that tests do without: large, or in need of a service."""


def test_the_other_extras_are_pinned_and_part_of_dev() -> None:
    pinned = {normal(name) for name in pins()}
    extras = PROJECT["project"]["optional-dependencies"]
    for extra, wanted in extras.items():
        for one in wanted:
            name = normal(re.split(r"[^\w.-]", one)[0])
            assert extra in APART or name in pinned | {"ablation-harness"}, f"{one} of {extra} is not in constraints.txt"
    in_dev = set(re.findall(r"[\w-]+", extras["dev"][0].partition("[")[2])) | set(
        re.findall(r"[\w-]+", extras["formats"][0])
    )
    assert extras.keys() - in_dev - {"dev"} == APART


def test_netcdf_brings_a_backend() -> None:
    """h5netcdf itself asks for none: h5py is one of its own extras."""
    netcdf = {normal(re.split(r"[^\w.-]", one)[0]) for one in PROJECT["project"]["optional-dependencies"]["netcdf"]}
    assert {"xarray", "h5netcdf", "h5py"} <= netcdf


def test_the_container_does_what_readme_says() -> None:
    readme = (HOUSE / "README.md").read_text()
    steps = re.search(r"```\n(.*?)```", readme.split("## Install")[1], re.S)
    assert steps is not None
    wanted = [
        line.partition("  #")[0].strip()
        for line in steps[1].splitlines()
        if line.startswith(("pip install", "harness doctor"))
    ]
    container = (HOUSE / "Containerfile").read_text().replace("\\\n", " ")
    runs = re.findall(r"(?m)^RUN (.*)$", container)
    assert len(wanted) == 3
    assert [one.split(";")[-1].strip() for one in runs[1:]] == wanted
    assert {"VARIANT", "TORCH_INDEX", "PYTHON"} == set(re.findall(r"(?m)^ARG (\w+)", container))


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has the wheel and what it needs, and nothing of the repository."""
    folder = tmp_path_factory.mktemp("clean")
    source = folder / "source"
    kept = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("harness", "variants", "studies", "reports", "trackers"):
        shutil.copytree(HOUSE / name, source / name, ignore=kept)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HOUSE / name, source)
    words = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", "wheel", *words, "-w", folder, source], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *words[:1], *words[2:], wheel], check=True)
    shutil.rmtree(source)
    packages = next((folder / "env").glob("lib/python*/site-packages"))
    for place in dict.fromkeys(path for path in (*sys.path, sysconfig.get_path("purelib")) if path.endswith("-packages")):
        for one in Path(place).iterdir():
            if not OURS.match(one.name) and not (packages / one.name).exists():
                (packages / one.name).symlink_to(one)
    return folder


def call(clean: Path, *words: str) -> subprocess.CompletedProcess[str]:
    away = clean / "away"
    away.mkdir(exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        words, cwd=away, env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_wheel_trains_and_reports_with_no_repository_around_it(clean: Path) -> None:
    harness = str(clean / "env" / "bin" / "harness")
    place = call(clean, str(clean / "env" / "bin" / "python"), "-c", "import harness; print(harness.__file__)")
    assert place.stdout.startswith(str(clean / "env")), place.stderr
    found = {
        what: json.loads(call(clean, harness, "list", what, "--json").stdout)[what]
        for what in ("variants", "components", "reports")
    }
    assert all(not row["error"] for rows in found.values() for row in rows)
    assert len(found["variants"]) == len(metadata.entry_points(group="harness.variants"))
    assert call(clean, str(clean / "env" / "bin" / "ablation-harness"), "--version").returncode == 0  # `pipx run` calls it
    unknown = call(clean, harness, "run", "--preset", "tiny", "--track", "tensorflow")
    assert unknown.stderr.startswith("error: unknown hook 'tensorflow'; did you mean 'tensorboard'?")
    assert json.loads(call(clean, harness, "schema", "run").stdout)["title"] == "harness run --json"
    trained = call(clean, harness, "run", "--preset", "tiny", "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["status"] == "finished"
    reported = call(clean, harness, "report")
    assert reported.returncode == 0, reported.stderr
    assert (clean / "away/artifacts/report/index.html").is_file()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    """What the shell's own function asks the program: the words so far, and where the cursor is."""
    asked = {"COMP_WORDS": "harness com", "COMP_CWORD": "1"} if shell == "bash" else {"_TYPER_COMPLETE_ARGS": "harness com"}
    if shell == "fish":
        asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    environment = os.environ | asked | {"_HARNESS_COMPLETE": f"complete_{shell}"}
    found = subprocess.run([sys.executable, "-m", "harness"], env=environment, capture_output=True, text=True, check=False)
    assert "compare" in found.stdout, found.stderr
    assert "ablate" not in found.stdout
    script = subprocess.run(
        [sys.executable, "-m", "harness"],
        env=os.environ | {"_HARNESS_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_HARNESS_COMPLETE=complete_" + shell in script.stdout, script.stderr
