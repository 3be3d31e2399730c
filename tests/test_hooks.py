"""Hooks are found by name, place or class, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import RequestError
from harness.hooks import Hook, find_hooks


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
            find_hooks([given])  # type: ignore[list-item]
