"""Commands that run rows again: they give the same cells."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from fake_store import Fake, cell, write_run
from filled_stores import fill, first_group

from reports.analysis import commands

pytestmark = pytest.mark.usefixtures("plots_not_drawn")


def test_commands_reproduce_rows(tmp_path: Path) -> None:
    from harness.runs.request import parse_settings

    settings = {"training.steps": 123, "architecture.widths": "8,16", "loss.ssim": 0.0, "training.precision": "bfloat16"}
    made = cell("attention", 3, settings=settings)
    write_run(tmp_path, made)
    group = first_group(tmp_path)
    words = shlex.split(commands.command(group.methods[0]))
    assert words[:8] == ["harness", "ablate", "--plan", "attention", "--preset", "cpu", "--seeds", "3,"]
    again = cell("attention", 3, settings=parse_settings(words[9::2]))
    assert again.run_id == made.run_id


def test_paper_preset_needs_no_settings_but_the_precision(tmp_path: Path) -> None:
    write_run(tmp_path, made := cell("base", 0, preset="paper"), Fake(test_sequences=20))
    group = first_group(tmp_path)
    command = commands.command(group.methods[0])
    assert command == "harness ablate --plan base --preset paper --seeds 0, --set training.precision=float32"
    assert made.experiment.training.steps == 7813


def test_what_no_command_can_ask_for_is_a_comment(tmp_path: Path) -> None:
    write_run(tmp_path, cell("attention", 0))
    (method,) = first_group(tmp_path).methods
    run = method.first
    odd = {
        "no plugin can have the name 'rm -rf /'": replace(method, variant="rm -rf /"),
        "the preset 'mine' is not installed": replace(method, runs={0: replace(run, preset="mine")}),
        "made elsewhere; harness score FILE": replace(method, runs={0: replace(run, changes=("predictions",))}),
    }
    for words, one in odd.items():
        text = commands.command(one)
        assert text.startswith("# ")
        assert words in text


def test_settings_of_a_command_replace_the_row_s_own(tmp_path: Path) -> None:
    write_run(tmp_path, cell("base", 0, settings={"training.steps": 123}))
    (method,) = first_group(tmp_path).methods
    words = shlex.split(commands.command(method, {"training.steps": "50"}))
    assert [one for one in words if one.startswith("training.steps")] == ["training.steps=50"]


def test_a_plan_s_command_takes_the_group_s_seeds_or_as_many_as_are_asked_for(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 3))
    group = first_group(tmp_path)
    assert "--plan a,b --equal seconds --preset cpu --seeds 0,3" in commands.plan_command(group, "a,b", "--equal", "seconds")
    assert "--seeds 12" in commands.plan_command(group, "add-one", seeds=range(12))


def test_only_names_of_plugins_can_be_typed() -> None:
    names = ["attention(heads=8)", "a+b", "A", "", "a b", "a;b", "--help", "a+", "x" * 65]
    assert commands.installable(names) == ["attention(heads=8)", "a+b"]


def test_a_command_that_fills_a_page_is_not_shown() -> None:
    assert commands.one_line("harness  ablate\n --seeds 3") == "harness ablate --seeds 3"
    assert commands.one_line("x" * 3000) == "# a plan's command of 3,000 characters is not shown"
