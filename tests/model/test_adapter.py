"""A torch module's class becomes a network of the harness in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import Command
from torch import Tensor, nn

import harness
from harness.errors import RequestError
from harness.experiment import canonical_json
from harness.presets import preset
from harness.testing import ArchitectureContract


class Flat(nn.Module):
    """A convolution over all input frames at once, which always predicts all frames."""

    def __init__(self, channels: int, input_frames: int, horizon: int, hidden: int = 4, bias: bool = True) -> None:
        super().__init__()
        self.horizon = horizon
        self.first = nn.Conv2d(channels * input_frames, hidden, 3, padding=1, bias=bias)
        self.second = nn.Conv2d(hidden, channels * horizon, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        found: Tensor = self.second(self.first(frames.flatten(1, 2)).tanh())
        return found.view(len(frames), self.horizon, -1, *found.shape[2:])


class TestWithoutHorizon(ArchitectureContract):
    component = harness.adapted(Flat, "flat")(hidden=3)  # type: ignore[call-arg]  # a field made from the constructor

    def test_maps_frames_to_every_horizon(self) -> None:
        """Any horizon up to the one that it was built for."""
        model, frames = self._model(), torch.rand(2, 3, 1, 16, 16)
        assert [model(frames, horizon).shape for horizon in (1, 3)] == [(2, 1, 1, 16, 16), (2, 3, 1, 16, 16)]


def test_its_parameters_are_settings_and_in_the_identity() -> None:
    kind = harness.adapted(Flat, "flat", revision=2)
    made = [kind(), kind(hidden=8)]  # type: ignore[call-arg]  # a field made from the constructor
    assert [one.settings for one in made] == [{"hidden": 4, "bias": True}, {"hidden": 8, "bias": True}]
    keys = {canonical_json(preset("tiny").replace({"architecture": one}).identity) for one in made}
    assert len(keys) == 2
    with pytest.raises(RequestError, match="hidden is 'many'; it must be a whole number"):
        preset("tiny").replace({"architecture": "flat(hidden=many)"}, lambda slot, name: kind)


def test_a_parameter_that_cannot_be_a_setting_is_refused() -> None:
    class Strange(nn.Module):
        def __init__(self, layers: list[int]) -> None:
            super().__init__()

    with pytest.raises(RequestError, match=r"Strange has the parameter 'layers'.*write a component"):
        harness.adapted(Strange, "strange")


def test_a_plugin_file_needs_one_line_beside_its_module(tmp_path: Path, harness: Command) -> None:
    source = """
import torch, harness
class Last(torch.nn.Module):
    def __init__(self, channels, gain=0.5):
        super().__init__()
        self.gain, self.mix = gain, torch.nn.Conv2d(channels, channels, 1)
    def forward(self, frames, horizon):
        return (self.gain * self.mix(frames[:, -1]))[:, None].repeat(1, horizon, 1, 1, 1)
Mine = harness.adapted(Last, "mine")
"""
    (tmp_path / "mine.py").write_text(source)
    words = ("--plugin", tmp_path / "mine.py", "--preset", "tiny", "--store", tmp_path / "store")
    ran = harness("run", "--set", "architecture=mine(gain=0.25)", *words, "--json").document
    assert (ran["status"], ran["params"]) == ("finished", 2)
    plan = harness("ablate", "--variants", "base,base(architecture=mine)", "--seeds", "1", *words, "--json").document
    assert [cell["status"] for cell in plan["cells"]] == ["finished"] * 2


def test_a_class_of_a_notebook_declares_a_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    class Typed(Flat):
        pass

    monkeypatch.setattr(Typed, "__module__", "__main__")
    with pytest.raises(RequestError, match=r"'typed' is defined in this session.*`revision"):
        harness.run(preset="tiny", settings={"architecture": harness.adapted(Typed, "typed")()})
    Typed.revision = 3  # type: ignore[attr-defined]  # as a user adds it
    assert harness.adapted(Typed, "typed").revision == 3
