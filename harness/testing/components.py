"""What holds for every component, whatever its slot; the suites of the slots derive from this one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from harness.component import Component
from harness.data.source import Source, open_source
from harness.experiment import Experiment
from harness.options import RunOptions
from harness.presets import preset
from harness.registry import components
from harness.runs.request import resolve
from harness.runs.smoke_test import smoke_test
from harness.store import Cell, Store
from harness.system.progress import Silent
from harness.training.loop import fit
from harness.tree import components_in

MANY = ("loss", "data.augment", "metrics")
"""Slots that hold several components by name."""


class ComponentContract:
    """What holds for every component. Subclass the suite of its slot in a test file and set `component`.

    A method may be overridden to widen a claim, or to fail on purpose with a reason; do not narrow one silently.
    """

    slot: ClassVar[str]
    """The slot that the suite is for."""
    component: ClassVar[Component]
    """The component under test, as small as it can be: it trains at preset tiny."""
    settings: ClassVar[Mapping[str, object]] = {}
    """What else it needs: settings of the experiment, such as a network that reads what is fed to it."""

    # --- what it says about itself

    def test_is_made_for_its_slot_and_explains_itself(self) -> None:
        """A slot, a name, a docstring of its own, a word on every field, defaults for all of them."""
        kind = type(self.component)
        assert kind.slot == self.slot, f"{kind.__name__}.slot is {kind.slot!r}, not {self.slot!r}"
        assert kind.name
        assert kind.revision >= 1
        doc = kind.__doc__ or ""
        assert doc, f"{kind.__name__} has no docstring"
        assert not doc.startswith(f"{kind.__name__}("), f"{kind.__name__} has no docstring of its own"
        for f in dataclasses.fields(kind):
            assert f.metadata.get("doc"), f"{kind.__name__}.{f.name} is not explained; use setting(default, 'what it is')"
        kind()

    def test_is_frozen_and_comparable(self) -> None:
        """It cannot change, and equal fields make equal values."""
        values = {f.name: getattr(self.component, f.name) for f in dataclasses.fields(self.component)}
        twin = type(self.component)(**values)
        assert twin == self.component
        assert hash(twin) == hash(self.component)
        for name, value in values.items():
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(self.component, name, value)

    def test_survives_json_with_the_same_identity(self) -> None:
        """A record read back is the experiment that was written, with the same keys."""
        record = json.loads(json.dumps(self.experiment.to_dict(), allow_nan=False))
        back = Experiment.from_dict(record, self._find)
        assert back == self.experiment
        assert back.identity == self.experiment.identity
        assert back.evaluation_identity == self.experiment.evaluation_identity

    # --- what it does in a training

    def test_passes_the_smoke_test(self) -> None:
        """Right shapes and types, finite values, no draw from global randomness, no state that a checkpoint does not have."""
        smoke_test(self.experiment, self._source)

    def test_a_training_that_was_killed_resumes_bit_identically(self, tmp_path: Path) -> None:
        """Killed between two steps and continued from its checkpoint, it ends as one that was left alone."""
        whole = self._trained(tmp_path / "whole", self._source)
        with pytest.raises(_Killed):
            self._trained(tmp_path / "killed", _KilledAt(self._source, step=4))
        assert_equal_tensors(self._trained(tmp_path / "killed", self._source), whole)

    # --- the parts of the tests

    @cached_property
    def experiment(self) -> Experiment:
        """Preset tiny with the component at its slot."""
        path = f"{self.slot}.{self.component.name}" if self.slot in MANY else self.slot
        return resolve(preset("tiny").replace(self.settings, self._find).replace({path: self.component}), "cpu", 32)

    @cached_property
    def _source(self) -> Source:
        return open_source(self.experiment.data)

    def _find(self, slot: str, name: str) -> type[Component]:
        own = {(kind.slot, kind.name): kind for kind in components_in(self.component)}
        return own[slot, name] if (slot, name) in own else components().find(slot, name)

    def _trained(self, root: Path, source: Source) -> dict[str, Tensor]:
        """The tensors of the last checkpoint."""
        cell = Cell("contract", "tiny", self.experiment, {"train": "a", "evaluation": "b"})
        folder = Store(root).training(cell)
        folder.write("experiment.json", cell.record())
        fit(self.experiment, source, folder, torch.device("cpu"), Silent(), RunOptions(save_every=0))
        return load_file(folder.path / "last.safetensors")


class _Killed(Exception):
    pass


class _KilledAt(Source):
    """A source at whose batch of one step the training ends."""

    def __init__(self, source: Source, step: int) -> None:
        self.__dict__.update(source.__dict__)
        self._step = step

    def train_batch(self, seed: int, step: int, batch_size: int, horizon: int, device: torch.device | str) -> Tensor:
        """Raises _Killed at the step."""
        if step >= self._step:
            raise _Killed
        return super().train_batch(seed, step, batch_size, horizon, device)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers that depend on the arguments alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_equal_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Bit by bit, and under the same names."""
    assert found.keys() == expected.keys()
    different = [name for name in expected if not torch.equal(found[name], expected[name])]
    assert not different, f"{', '.join(different[:5])} differ after a resumed training: state is missing in the checkpoint"


def assert_all_learn(module: torch.nn.Module, loss: Tensor) -> None:
    """Every parameter gets a finite gradient that is not zero."""
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} is dead: it takes no part"
            assert parameter.grad.isfinite().all(), f"the gradient of {name} is not finite"
            assert parameter.grad.any(), f"{name} is dead: its gradient is zero"


def disturbed(module: Any) -> Any:
    """The module with its weights moved: gates may start at zero."""
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            parameter.add_(noise(*parameter.shape, seed=index), alpha=0.1)
    return module
