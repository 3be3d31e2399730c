"""Hooks are found by name, place or class, and what is none is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import RequestError
from harness.hooks import Hook, Hooks, find_hooks


def test_a_class_of_the_current_folder_is_found_and_what_is_no_hook_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_hooks_of_this_test.py").write_text("import harness\nclass Mine(harness.Hook): pass\nother = 3\n")
    monkeypatch.chdir(tmp_path)
    ((name, make),) = find_hooks(["my_hooks_of_this_test:Mine"]).items()
    assert name == "my_hooks_of_this_test:Mine"
    assert isinstance(make(), Hook)
    for given, message in (
        ("my_hooks_of_this_test:other", "is a int, not a hook"),
        ("my_hooks_of_this_test:Missing", "cannot be loaded"),
        ("tensorbord", "did you mean 'tensorboard'"),
        (Path, "not a hook"),
    ):
        with pytest.raises(RequestError, match=message):
            find_hooks([given])  # type: ignore[list-item]  # what is refused


def test_an_object_serves_all_runs_and_of_a_class_each_has_its_own() -> None:
    class Mine(Hook):
        pass

    one = Mine()
    found = find_hooks([one])
    assert [make() is one for make in found.values()] == [True]
    ((name, make),) = find_hooks([Mine]).items()
    assert name.endswith("Mine")
    assert make() is not make()


def test_installed_trackers_are_found_by_their_names() -> None:
    assert {"tensorboard", "mlflow", "wandb", "trackio"} <= set(Hooks().names)


def test_the_folder_of_ones_own_is_searched_first_and_left_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="--hook no_such_module_here:Mine cannot be loaded: ModuleNotFoundError"):
        find_hooks(["no_such_module_here:Mine"])
    assert sys.path == before
