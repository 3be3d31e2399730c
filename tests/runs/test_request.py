"""From the user's words to cells, and from a run's record back to the words."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from harness.errors import RequestError
from harness.notation import flatten
from harness.presets import preset
from harness.runs.request import Request, parse_settings, read_config, resolve, run_command
from harness.store import store_root
from harness.variant import Variants

VARIANTS = Variants(third_party=False)


def words_of(command: str) -> dict[str, object]:
    """The request and seed that a printed command asks for."""
    words = shlex.split(command)
    assert words[:3] == ["harness", "run", "--variant"]
    settings = parse_settings(words[at + 1] for at, word in enumerate(words) if word == "--set")
    return {
        "variant": words[3],
        "preset": words[words.index("--preset") + 1],
        "seed": int(words[words.index("--seed") + 1]),
        "settings": settings,
    }


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("base", {}),
        ("attention+residual", {"architecture.bottleneck.heads": 2, "training.max_lr": 2e-3}),
        ("curriculum", {"training.curriculum": "growing-horizon(start=1)", "loss.l1": 0.25, "loss.ssim": 0}),
        ("simvp", {"architecture.hidden": 8, "training.optimizer": "muon(lr=0.01, others=adamw(lr=1e-3))"}),
        ("tta", {"inference.views": "identity,hflip", "training.schedule": "cosine", "training.average": "ema"}),
        ("predrnn", {"training.feeding": "reverse-scheduled-sampling", "training.freeze": "cells.0.*"}),
    ],
)
@pytest.mark.parametrize("name", ["tiny", "cpu", "paper"])
def test_the_printed_command_asks_for_the_same_cell(variant: str, settings: dict[str, object], name: str) -> None:
    cell, _ = Request(preset=name, settings=settings).cell(VARIANTS, variant, 3)
    asked = words_of(run_command(cell.record()))
    again, _ = Request(preset=str(asked["preset"]), settings=asked["settings"]).cell(VARIANTS, str(asked["variant"]), 3)  # type: ignore[arg-type]
    assert asked["seed"] == 3
    assert again.run_id == cell.run_id


def test_the_command_of_a_plain_run_has_no_settings() -> None:
    for name, said in (("tiny", 0), ("cpu", 1), ("paper", 1)):
        cell, _ = Request(preset=name).cell(VARIANTS, "base", 0)
        assert run_command(cell.record()).count("--set") == said, "only what `auto` became here is said"


def test_later_sources_win_over_earlier_ones() -> None:
    request = Request(preset="tiny", config={"training.steps": 5, "training.batch_size": 2}, settings={"training.steps": 7})
    experiment = request.experiment(VARIANTS, "base", seed=4)
    assert (experiment.training.steps, experiment.training.batch_size, experiment.training.seed) == (7, 2, 4)


def test_a_size_for_the_preset_is_the_one_that_is_built() -> None:
    sizes = {name: Request(preset=name).experiment(VARIANTS, "simvp").architecture for name in ("tiny", "cpu", "paper")}
    assert len(set(sizes.values())) == 3
    assert sizes["paper"].hidden == 64


def test_a_budget_in_epochs_becomes_steps_where_the_data_say_how_many_sequences_one_has() -> None:
    given = preset("paper").replace({"training.epochs": 2, "training.batch_size": 32})
    assert resolve(given, "cpu").training.steps == 2 * 10_000 // 32
    file = given.replace({"data.frames": "clip.npy"})
    assert (resolve(file, "cpu").training.steps, resolve(file, "cpu").training.epochs) == (None, 2)
    assert resolve(file, "cpu", 320).training.steps == 20


def test_tables_of_a_config_are_paths(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        "[training]\nsteps = 5\n[training.optimizer]\nname = 'muon'\n[training.optimizer.others]\nname = 'sgd'\nlr = 0.5\n"
    )
    config = read_config(tmp_path / "c.toml")
    assert config == {
        "training.steps": 5,
        "training.optimizer": "muon",
        "training.optimizer.others": "sgd",
        "training.optimizer.others.lr": 0.5,
    }
    made = Request(preset="tiny", config=config).experiment(VARIANTS, "base").training
    assert (made.steps, made.optimizer.name, made.optimizer.others.name, made.optimizer.others.lr) == (5, "muon", "sgd", 0.5)
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": 1, "d": 2}


def test_settings_are_read_once_each() -> None:
    assert parse_settings(["a.b=1", " c = x=y "]) == {"a.b": "1", "c": "x=y"}
    for texts in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(RequestError, match="--set"):
            parse_settings(texts)


def test_a_store_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "there"))
    assert store_root(None) == tmp_path / "there"
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="is a file, not a folder"):
        store_root(tmp_path / "file")
