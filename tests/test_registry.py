"""Plugins come in through one door, built-in or not; a broken one is named and stops nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import RequestError
from harness.registry import Plugins
from harness.variant import Variants

NETWORKS = ["convgru", "convlstm-stack", "phydnet", "predrnn", "predrnn-pp", "predrnn-v2", "simvp", "simvp-incepu", "tau"]
BUILT_IN = sorted(["attention", "base", "curriculum", "muon", "residual", "tta", *NETWORKS])
GROUP = "harness.variants"
Install = Callable[..., Path]

FINE = """
from harness.variant import Variant
MINE = Variant(name={name!r}, summary="mine", source="here", changes={{"loss.l1": 0.1}})
"""


def test_the_built_in_variants_are_found_through_their_entry_points() -> None:
    variants = Variants(third_party=False)
    assert variants.names == BUILT_IN
    assert [plugin.error for plugin in variants] == [None] * len(BUILT_IN)
    assert all(plugin.origin.startswith("ablation-harness ") for plugin in variants)


def test_an_installed_package_adds_a_variant_without_touching_this_one(fake_distribution: Install) -> None:
    fake_distribution("acme", FINE.format(name="mine"), {GROUP: {"mine": "acme:MINE"}}, version="2.1")
    variants = Variants()
    assert variants.names == sorted([*BUILT_IN, "mine"])
    assert variants.plugin("mine").origin == "acme 2.1"
    assert variants.compose("tta+mine").name == "mine+tta"


def test_no_plugins_leaves_out_what_other_packages_provide(fake_distribution: Install) -> None:
    fake_distribution("acme", FINE.format(name="mine"), {GROUP: {"mine": "acme:MINE"}})
    assert Variants(third_party=False).names == BUILT_IN
    with pytest.raises(RequestError, match="unknown variant 'mine'"):
        Variants(third_party=False).get("mine")
    assert "acme" not in sys.modules


def test_no_plugins_still_takes_the_files_that_were_named(tmp_path: Path) -> None:
    file = tmp_path / "idea.py"
    file.write_text(FINE.format(name="mine"))
    assert Variants(files=[file], third_party=False).get("mine").summary == "mine"


@pytest.mark.parametrize(
    ("source", "value", "said"),
    [
        ("1/0", "acme:MINE", "ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name", "acme:MINE", "ModuleNotFoundError"),
        ("def broken(:", "acme:MINE", "SyntaxError"),
        ("raise SystemExit(3)", "acme:MINE", "SystemExit: 3"),
        ("raise ValueError('one\\n  two')", "acme:MINE", "ValueError: one two"),
        ("", "acme:MINE", "AttributeError"),
        ("", "acme_of_another_name:MINE", "ModuleNotFoundError"),
        ("MINE = 3", "acme:MINE", "is a int, not a Variant"),
        (FINE.format(name="other"), "acme:MINE", "calls itself 'other'; entry point and name must agree"),
        (
            FINE.format(name="mine").replace("loss.l1", "loss.l7"),
            "acme:MINE",
            "unknown component 'l7'; for loss: bce, gradient-difference, mae, mse, ssim, temporal-difference",
        ),
        (
            FINE.format(name="mine").replace("0.1", "'x'"),
            "acme:MINE",
            "loss.mae is 'x'; give its weight, such as loss.mae=0.1",
        ),
        (FINE.format(name="MINE"), "acme:MINE", "use lower-case letters"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_error_and_stops_nothing_else(
    fake_distribution: Install, source: str, value: str, said: str
) -> None:
    fake_distribution("acme", source, {GROUP: {"mine": value}})
    variants = Variants()
    errors = {plugin.name: plugin.error for plugin in variants}
    assert said in (errors.pop("mine") or "")
    assert errors == dict.fromkeys(BUILT_IN)
    assert "\n" not in str(variants.plugin("mine").error)
    assert variants.compose("residual+attention").name == "attention+residual"
    assert variants.components
    with pytest.raises(RequestError, match=r"variant 'mine' of acme 1\.0 failed to load: "):
        variants.get("mine")


def test_a_plugin_is_imported_only_when_it_is_asked_for(fake_distribution: Install) -> None:
    fake_distribution("acme", FINE.format(name="mine"), {GROUP: {"mine": "acme:MINE"}})
    variants = Variants()
    variants.get("base")
    assert "mine" in variants.names
    assert "acme" not in sys.modules
    variants.get("mine")
    assert "acme" in sys.modules


def test_a_plugin_that_fails_is_tried_once(fake_distribution: Install, tmp_path: Path) -> None:
    fake_distribution(
        "acme",
        f"with open({str(tmp_path / 'log')!r}, 'a') as log: log.write('x')\nraise OSError('no')",
        {GROUP: {"mine": "acme:MINE"}},
    )
    variants = Variants()
    for _ in range(3):
        assert variants.plugin("mine").error == "OSError: no"
    assert (tmp_path / "log").read_text() == "x"


def test_two_packages_with_one_name_are_refused_naming_both(fake_distribution: Install) -> None:
    for name in ("acme", "zenith"):
        fake_distribution(name, FINE.format(name="mine"), {GROUP: {"mine": f"{name}:MINE"}})
    with pytest.raises(RequestError) as refused:
        Variants().get("base")
    for word in ("'mine'", "acme 1.0", "zenith 1.0", "uninstall one"):
        assert word in str(refused.value)
    assert Variants(third_party=False).names == BUILT_IN


def test_a_package_cannot_take_the_place_of_a_built_in_variant(fake_distribution: Install) -> None:
    fake_distribution("acme", FINE.format(name="base"), {GROUP: {"base": "acme:MINE"}})
    with pytest.raises(RequestError, match=r"'base' is provided by .*ablation-harness"):
        _ = Variants().names


def test_a_name_that_is_not_installed_is_answered_with_the_closest_one() -> None:
    with pytest.raises(RequestError) as refused:
        Variants(third_party=False).get("atention")
    assert str(refused.value) == (f"unknown variant 'atention'; did you mean 'attention'? installed: {', '.join(BUILT_IN)}")


@pytest.mark.parametrize("text", ["", "+", "residual+", "+tta", "residual++tta", " "])
def test_a_composition_with_a_hole_in_it_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="name variants joined by '\\+'"):
        Variants(third_party=False).compose(text)


def test_spaces_around_names_do_not_matter() -> None:
    assert Variants(third_party=False).compose(" tta + residual ").name == "residual+tta"


def test_other_groups_work_alike(fake_distribution: Install) -> None:
    fake_distribution("acme", "STUDY = 'a study'", {"harness.studies": {"mine": "acme:STUDY"}})
    assert Plugins("harness.studies", str).get("mine") == "a study"
    with pytest.raises(RequestError, match="unknown study 'yours'"):
        Plugins("harness.studies", str).get("yours")
    assert "mine" not in Plugins("harness.studies", str, third_party=False).names


# --- files


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(source: str, name: str = "idea.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return path

    return write


def test_a_file_adds_its_variants(file: Callable[..., Path]) -> None:
    path = file(FINE.format(name="mine") + FINE.format(name="yours").replace("MINE", "YOURS"))
    variants = Variants(files=[path])
    assert variants.compose("mine").changes == {"loss.l1": 0.1}
    assert (variants.plugin("yours").origin, variants.plugin("yours").error) == (str(path), None)


def test_the_same_file_named_twice_counts_once(file: Callable[..., Path]) -> None:
    path = file(FINE.format(name="mine"))
    assert Variants(files=[path, path.parent / "." / path.name]).get("mine").name == "mine"


def test_a_file_may_import_a_variant_to_build_on_it(file: Callable[..., Path]) -> None:
    path = file("from variants.residual import VARIANT\n" + FINE.format(name="mine"))
    assert sorted(Variants(files=[path], third_party=False).names) == sorted([*BUILT_IN, "mine"])


def test_a_component_of_a_file_can_be_read_back_from_a_record(file: Callable[..., Path]) -> None:
    path = file(
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "from harness.component import Component\nfrom harness.variant import Variant\n"
        "@dataclass(frozen=True)\nclass Late(Component):\n    slot: ClassVar[str] = 'training.curriculum'\n"
        "    name: ClassVar[str] = 'late'\n    start: int = 1\n"
        "    def horizon(self, progress, full): return full\n"
        "V = Variant(name='late', summary='s', source='t', changes={'training.curriculum': Late()})\n"
    )
    from harness.experiment import Experiment
    from harness.presets import preset

    variants = Variants(files=[path], third_party=False)
    made = variants.compose("late").apply(preset("tiny"))
    assert Experiment.from_dict(made.to_dict(), variants.components.find) == made


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def broken(:", "SyntaxError"),
        ("1/0", "ZeroDivisionError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("x = 3", "defines no Variant at module level"),
        ("\0", "null bytes"),
        (
            FINE.format(name="mine").replace("loss.l1", "loss.l7"),
            "unknown component 'l7'; for loss: bce, gradient-difference, mae, mse, ssim, temporal-difference",
        ),
    ],
)
def test_a_broken_file_is_listed_with_its_error_and_stops_nothing_else(
    file: Callable[..., Path], source: str, said: str
) -> None:
    path = file(source, "attention.py")  # the name of a variant that is none of its business
    variants = Variants(files=[path], third_party=False)
    listed = list(variants)
    assert [plugin.name for plugin in listed if plugin.error is None] == BUILT_IN
    (broken,) = (plugin for plugin in listed if plugin.error is not None)
    assert broken.origin == str(path)
    assert said in str(broken.error)
    assert variants.compose("attention").name == "attention"


def test_asking_for_a_variant_of_a_broken_file_says_why_it_is_not_there(file: Callable[..., Path]) -> None:
    path = file("1/0")
    with pytest.raises(RequestError) as refused:
        Variants(files=[path], third_party=False).compose("mine")
    assert f"plugin file {path} failed to load: ZeroDivisionError: division by zero" in str(refused.value)
    assert f"installed: {', '.join(BUILT_IN)};" in str(refused.value)


def test_what_a_plugin_prints_goes_to_stderr(
    file: Callable[..., Path], fake_distribution: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_distribution("acme", "print('package')\n" + FINE.format(name="mine"), {GROUP: {"mine": "acme:MINE"}})
    list(Variants(files=[file("print('file')\n" + FINE.format(name="yours"))]))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sorted(captured.err.split()) == ["file", "package"]


@pytest.mark.parametrize(
    ("name", "said"), [("missing.py", "does not exist"), (".", "is not a file"), ("notes.txt", "is not a Python file")]
)
def test_a_file_that_cannot_be_a_plugin_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "notes.txt").write_text("x = 1")
    with pytest.raises(RequestError, match=said):
        Variants(files=[tmp_path / name]).get("base")


@pytest.mark.parametrize("name", ["base", "mine"])
def test_a_file_whose_variant_exists_already_is_refused_naming_both(file: Callable[..., Path], name: str) -> None:
    first, second = file(FINE.format(name="mine")), file(FINE.format(name=name), "other.py")
    with pytest.raises(RequestError) as refused:
        Variants(files=[first, second], third_party=False).get("base")
    assert f"variant {name!r} of {second} exists already, from" in str(refused.value)
    assert ("ablation-harness" if name == "base" else str(first)) in str(refused.value)
