"""Answers of the store that other plugin source made, as the commands tell of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command

from harness.store import Store
from harness.training import loop

PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from harness.component import Component
from harness.variant import Variant

@dataclass(frozen=True, kw_only=True)
class Stage(Component):
    '''All frames at once, or fewer at first.'''
    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "stage"
    revision: ClassVar[int] = {revision}

    def horizon(self, progress, full):
        return {horizon}

VARIANT = Variant(name="stage", summary="s", source="s", changes={{"training.curriculum": Stage()}})
"""

QUIET = """
from harness.training import loop
from harness.variant import Variant

loop.LOG_EVERY = 5
VARIANT = Variant(name="quiet", summary="changes nothing, it says", source="s")
"""

VIEWS = """
from harness.variant import Variant

VARIANT = Variant(name="mirrored", summary="s", source="s", changes={"inference.views": ("identity", "hflip")})
"""

SAID = "was made by other source of"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_edited_plugin_of_the_same_revision_is_named_on_every_use(harness: Command, tmp_path: Path, quick: None) -> None:
    plugin, store = tmp_path / "stage.py", tmp_path / "store"
    words = ("run", "-v", "stage", "-p", "tiny", "--seed", 0, "--plugin", plugin, "--store", store, "--json")
    write(plugin, PLUGIN.format(revision=1, horizon="full"))
    first = harness(*words)
    assert SAID not in first.err
    assert SAID not in harness(*words).err

    write(plugin, PLUGIN.format(revision=1, horizon="1"))
    for _ in range(2):
        again = harness(*words)
        assert (again.document["cached"], again.document["run_id"]) == (True, first.document["run_id"])
        assert "of stage was made by other source of stage, training.curriculum.stage, under the same revision" in again.err
        assert "raise the component's `revision` if the change matters, or train again with --force" in again.err
    words_of_plan = ("ablate", "--plan", "base,stage", "--seeds", 1, "-p", "tiny", "--plugin", plugin, "--store", store)
    assert harness(*words_of_plan).err.count(SAID) == 1

    # Testing the old checkpoint again does not hide what trained it.
    (store / "runs" / first.document["run_id"] / "result.json").unlink()
    tested = harness(*words)
    assert tested.document["cached"] is False
    assert SAID in tested.err
    (store / "runs" / first.document["run_id"] / "result.json").unlink()
    in_a_worker = harness(*words_of_plan)
    assert "stage seed 0: finished" in in_a_worker.err
    assert in_a_worker.err.count(SAID) == 1
    assert SAID in harness(*words).err

    write(plugin, PLUGIN.format(revision=2, horizon="1"))
    revised = harness(*words)
    assert revised.document["run_id"] != first.document["run_id"]
    assert SAID not in revised.err

    write(plugin, PLUGIN.format(revision=1, horizon="1"))
    assert SAID not in harness(*words, "--force").err
    assert SAID not in harness(*words).err


def test_a_plugin_without_changes_that_patches_on_import_is_named(
    harness: Command, store: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", loop.LOG_EVERY)  # the plugin's patch ends with the test
    plugin = write(tmp_path / "quiet.py", QUIET)
    words = ("run", "-p", "tiny", "--seed", 0, "--store", store, "--json")
    named = harness(*words, "-v", "quiet", "--plugin", plugin)
    assert named.document["cached"] is True
    assert f"{SAID} quiet," in named.err
    assert SAID not in harness(*words, "-v", "base").err

    harness(*words, "-v", "quiet", "--plugin", plugin, "--force")
    assert SAID not in harness(*words, "-v", "quiet", "--plugin", plugin).err
    assert f"of base {SAID} quiet," in harness(*words, "-v", "base").err
    # A metric that is added tests base's run again; what trained it stays known.
    assert SAID in harness(*words, "-v", "base", "--set", "metrics=csi").err
    assert SAID in harness(*words, "-v", "base").err

    composed = harness(*words, "-v", "attention+quiet", "--plugin", plugin)
    assert SAID not in composed.err
    record = json.loads((store / "runs" / composed.document["run_id"] / "experiment.json").read_text())
    assert (record["variant"], list(record["sources"])) == ("attention", ["quiet"])
    assert f"{SAID} quiet," in harness(*words, "-v", "attention").err


def test_a_plugin_that_changes_inference_alone_spoils_no_training(harness: Command, tmp_path: Path, quick: None) -> None:
    plugin = write(tmp_path / "mirrored.py", VIEWS)
    words = ("run", "-p", "tiny", "--seed", 0, "--store", tmp_path / "store", "--json")
    for _ in range(2):
        assert SAID not in harness(*words, "-v", "mirrored", "--plugin", plugin).err
        assert SAID not in harness(*words, "-v", "base").err


def test_records_from_before_sources_say_nothing(harness: Command, store: Path) -> None:
    root = Store(store)
    for folder in (*root.runs(), *root.trainings()):
        record = folder.read("experiment.json")
        folder.write("experiment.json", {name: value for name, value in record.items() if name != "sources"})
    assert SAID not in harness("run", "-p", "tiny", "--seed", 0, "--store", store).err
