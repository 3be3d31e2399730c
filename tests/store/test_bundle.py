"""A bundle arrives whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from fake_store import write_plan
from half_plans import content, made

from harness.errors import HarnessError
from harness.experiment import canonical_json
from harness.runs.request import Request
from harness.store import DamagedRecord, Store
from harness.store.bundle import export_bundle, import_bundle, plan_name
from harness.variant import Variants


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A plan of six finished runs as one file."""
    store = Store(made(tmp_path / "origin", range(3)))
    return export_bundle(store, plan_name(store, ""), tmp_path / "results.zip").path


def test_a_bundle_arrives_as_it_was_sent(bundle: Path, tmp_path: Path, harness: Command) -> None:
    origin = tmp_path / "origin"
    again = harness("store", "export", "--store", origin, "--out", tmp_path / "again.zip", "--json").document
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    words = ("store", "import", bundle, "--store", tmp_path / "here", "--json")
    document = harness(*words, "--digest", again["digest"][:12]).document
    assert content(tmp_path / "here") == content(origin)
    assert document["digest"] == again["digest"]
    assert again["runs"] == 6
    assert sorted(one.name for one in (tmp_path / "here").iterdir() if one.name != "locks") == ["plans", "runs", "trainings"]
    assert "not the bundle that was published" in harness(*words, "--digest", "0123").error


def test_weights_travel_when_asked_for(store: Path, tmp_path: Path) -> None:
    cells = [(name, Request(preset="tiny").cell(Variants(third_party=False), name, 0)[0]) for name in ("base", "tta")]
    write_plan(store, "add-one", cells)
    plan = plan_name(Store(store), "")
    assert not [
        one
        for one in zipfile.ZipFile(export_bundle(Store(store), plan, tmp_path / "few.zip").path).namelist()
        if "best" in one
    ]
    export_bundle(Store(store), plan, tmp_path / "all.zip", weights=True)
    here = Store(tmp_path / "here")
    import_bundle(here, tmp_path / "few.zip")
    run = here.run(cells[0][1])
    with pytest.raises(DamagedRecord):
        here.training_of(run).check(here.training_of(run).read("training.json"))
    import_bundle(here, tmp_path / "all.zip")  # brings what the first left out
    found = here.training_of(run).check(here.training_of(run).read("training.json"))
    assert found.read_bytes() == (store / found.relative_to(here.root)).read_bytes()


def rezipped(bundle: Path, change: Callable[[dict[str, bytes], dict[str, Any]], object]) -> Path:
    """The bundle with other files or another manifest."""
    with zipfile.ZipFile(bundle) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(found.pop("manifest.json"))
    change(found, manifest)
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, one in {"manifest.json": json.dumps(manifest).encode(), **found}.items():
            archive.writestr(name, one)
    return bundle


def result_of(found: dict[str, bytes]) -> str:
    return next(name for name in found if name.endswith("result.json"))


def better(found: dict[str, bytes], manifest: dict[str, Any], *, sign: bool, manifested: bool) -> None:
    """A result with another SSIM; its own digest and the manifest's brought up to date, or not."""
    name = result_of(found)
    body = json.loads(found[name])
    body["metrics"]["ssim"] = 0.99
    if sign:
        del body["sha256"]
        body["sha256"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    found[name] = json.dumps(body).encode()
    if manifested:
        manifest["files"][name] = {"sha256": hashlib.sha256(found[name]).hexdigest(), "bytes": len(found[name])}


def add(found: dict[str, bytes], manifest: dict[str, Any], name: str) -> None:
    found[name] = b"x"
    manifest["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}


TAMPERED: dict[str, tuple[Callable[[dict[str, bytes], dict[str, Any]], object], str]] = {
    "another figure": (lambda f, m: better(f, m, sign=False, manifested=False), "is not what its manifest says"),
    "re-signed": (lambda f, m: better(f, m, sign=True, manifested=False), "result.json is"),
    "the manifest too": (lambda f, m: better(f, m, sign=False, manifested=True), "was changed after it was written"),
    "a path out": (lambda f, m: add(f, m, "../../evil.json"), "'../../evil.json', which is no file of a bundle"),
    "a path at the root": (lambda f, m: add(f, m, "/tmp/evil.json"), "which is no file of a bundle"),
    "a path below": (lambda f, m: add(f, m, "runs/0123456789abcdef/../../../evil"), "which is no file of a bundle"),
    "code": (lambda f, m: add(f, m, "runs/0123456789abcdef/evil.py"), "which is no file of a bundle"),
    "a file less": (lambda f, m: f.pop(result_of(f)), "its files are not those that its manifest lists"),
    "an unlisted file": (lambda f, m: f.update({"plans/0123456789abcdef.json": b"{}"}), "its files are not those"),
    "another run's place": (
        lambda f, m: (
            f.update({result_of(f): f[sorted(one for one in f if one.endswith("result.json"))[-1]]}),
            m["files"].update(
                {result_of(f): {"sha256": hashlib.sha256(f[result_of(f)]).hexdigest(), "bytes": len(f[result_of(f)])}}
            ),
        ),
        "is the record of",
    ),
    "a bomb": (lambda f, m: f.update({result_of(f): b" " * 10**7}), "is longer than its manifest says"),
    "another kind": (lambda f, m: m.update(kind="x", format=9), "is a bundle of format 9"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_changed_bundle_is_refused_and_nothing_of_it_stays(how: str, bundle: Path, tmp_path: Path) -> None:
    change, words = TAMPERED[how]
    here = made(tmp_path / "here", range(1))
    before = content(here)
    with pytest.raises(HarnessError) as error:
        import_bundle(Store(here), rezipped(bundle, change))
    assert words in str(error.value)
    assert content(here) == before
    assert not [one for one in here.iterdir() if one.name.startswith(".")]
    assert not list(tmp_path.parent.glob("evil*"))


def test_what_is_no_bundle_is_named(bundle: Path, tmp_path: Path, harness: Command) -> None:
    (tmp_path / "text.zip").write_text("hello")
    where = ("--store", tmp_path / "here")
    assert "is not a bundle, or is damaged" in harness("store", "import", tmp_path / "text.zip", *where).error
    assert "there is no bundle" in harness("store", "import", tmp_path / "none.zip", *where).error
    cut = bundle.read_bytes()
    bundle.write_bytes(cut[: len(cut) // 2])
    assert "is not a bundle, or is damaged" in harness("store", "import", bundle, *where).error
    error = harness("store", "export", "--store", tmp_path / "here", "--out", tmp_path / "x.zip").error
    assert "no plan in" in error
    shutil.copytree(
        tmp_path / "origin", tmp_path / "none", ignore=lambda _, names: [one for one in names if one == "result.json"]
    )
    assert (
        "has no finished run" in harness("store", "export", "--store", tmp_path / "none", "--out", tmp_path / "x.zip").error
    )
