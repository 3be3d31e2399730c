"""The suites of `data` and `data.augment`."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, ClassVar

import torch

from harness.data.augment import Augmentation
from harness.data.scaling import Scaling
from harness.experiment import Experiment
from harness.presets import preset
from harness.runs.request import resolve
from harness.testing.components import ComponentContract, noise


class DataContract(ComponentContract):
    """What holds for every source of sequences, `open(digits_folder) -> Source`."""

    slot: ClassVar[str] = "data"

    def test_gives_sequences_to_train_validate_and_test_on(self) -> None:
        """float32 in [0, 1], (B, input_frames + horizon, C, H, W), as many as it says."""
        source, data = self._source, self.experiment.data
        parts = {
            "training": [source.train_batch(0, 0, 3, data.horizon, "cpu")],
            "validation": list(source.validation(2, "cpu")),
            "test": list(source.test(2, "cpu")),
        }
        shape = (data.input_frames + data.horizon, source.channels, source.height, source.width)
        for name, batches in parts.items():
            for batch in batches:
                assert tuple(batch.shape[1:]) == shape, f"{name} frames have the shape {tuple(batch.shape)}"
                assert batch.dtype == torch.float32
                assert batch.min() >= 0, f"{name} frames are below 0"
                assert batch.max() <= 1, f"{name} frames are above 1"
        assert len(parts["training"][0]) == 3
        assert sum(map(len, parts["validation"])) == source.validation_sequences
        assert sum(map(len, parts["test"])) == source.test_sequences

    def test_a_batch_follows_from_the_seed_and_the_step(self) -> None:
        """Not from what was asked before; another seed or step gives another batch."""
        full = self.experiment.data.horizon
        first = self._source.train_batch(0, 7, 4, full, "cpu")
        self._source.train_batch(1, 3, 2, full, "cpu")
        assert torch.equal(self._source.train_batch(0, 7, 4, full, "cpu"), first)
        assert not torch.equal(self._source.train_batch(0, 8, 4, full, "cpu"), first)
        assert not torch.equal(self._source.train_batch(1, 7, 4, full, "cpu"), first)

    def test_a_curriculum_sees_the_same_sequences_cut_short(self) -> None:
        """For every horizon."""
        data = self.experiment.data
        whole = self._source.train_batch(0, 2, 3, data.horizon, "cpu")
        for horizon in range(1, data.horizon + 1):
            cut = self._source.train_batch(0, 2, 3, horizon, "cpu")
            assert torch.equal(cut, whole[:, : data.input_frames + horizon])

    def test_validation_and_test_stay_as_they_are(self) -> None:
        """However they are cut into batches; the test set has a name."""
        for part in (self._source.validation, self._source.test):
            assert torch.equal(torch.cat(list(part(1, "cpu"))), torch.cat(list(part(3, "cpu"))))
        assert self._source.test_digest() == self._source.test_digest()
        assert set(self._source.identity) == {"train", "evaluation"}


class AugmentationContract(ComponentContract):
    """What holds for every augmentation, `apply(frames (B, T, C, H, W), generator) -> frames`."""

    slot: ClassVar[str] = "data.augment"
    component: ClassVar[Augmentation]

    def test_is_a_function_of_the_frames_and_the_generator(self) -> None:
        """Same draws, same frames; it leaves its argument alone, keeps the shape and stays in [0, 1]."""
        given = noise(4, 3, 1, 16, 16).sigmoid()
        before = given.clone()
        first, second = (self.component.apply(given, torch.Generator().manual_seed(3)) for _ in range(2))
        assert torch.equal(first, second), "the same generator gave other frames"
        assert torch.equal(given, before), "the frames that it was given were changed"
        assert first.shape == given.shape
        assert first.dtype == torch.float32
        assert first.min() >= 0
        assert first.max() <= 1

    def test_changes_something(self) -> None:
        """In ten draws."""
        given = noise(4, 3, 1, 16, 16).sigmoid()
        drawn: list[Any] = [self.component.apply(given, torch.Generator().manual_seed(seed)) for seed in range(10)]
        assert any(not torch.equal(one, given) for one in drawn)


class ScalingContract(ComponentContract):
    """What holds for every scaling of values."""

    slot: ClassVar[str] = "data.scaling"
    component: ClassVar[Scaling]
    """`settings` name the data, of a file, that it scales."""

    @cached_property
    def experiment(self) -> Experiment:
        """Preset tiny with that data, then the component at its slot."""
        return resolve(preset("tiny").replace(self.settings, self._find).replace({self.slot: self.component}), "cpu", 32)

    def test_limits_become_0_and_1_and_come_back(self) -> None:
        """Fitted to two channels of different limits; missing values stay missing."""
        fitted = dataclasses.replace(self.component, low=(), high=()).fit((-2.0, 0.0), (3.0, 200.0), "the data")
        ends = torch.tensor([[[-2.0, 3.0]], [[0.0, 200.0]]])
        assert torch.allclose(fitted.forward(ends), torch.tensor([[[0.0, 1.0]], [[0.0, 1.0]]]), atol=1e-6)
        between = torch.linspace(0, 1, 12).view(1, 1, 12).repeat(2, 1, 1)
        assert torch.allclose(fitted.forward(fitted.inverse(between)), between, atol=1e-5)
        assert (fitted.forward(fitted.inverse(between)).diff(dim=-1) > 0).all()
        assert fitted.forward(ends * float("nan")).isnan().all()
