"""The tests that every variant must pass, for pytest; a third party's plugin runs the same ones.

    # test_mine.py, beside your plugin
    from harness.testing import VariantContract

    class TestMine(VariantContract):
        variant = "mine"                       # its name, or a composition of it: "mine+residual"
        # plugin = Path("mine.py")             # only if it is a single file and not an installed package

`pytest test_mine.py` then says what is wrong with it, in a few seconds on a CPU; it needs pytest and harness, and a store is
not touched. Everything runs at preset `tiny`. Letters of the shapes: B sequences, T frames, C channels, H and W pixels.
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.component import Component, Shape
from harness.errors import HarnessError, RequestError
from harness.evaluation import cost as measure
from harness.evaluation.predict import predict
from harness.experiment import Experiment
from harness.model.build import build_model, seeded, use_reference
from harness.presets import PRESETS, preset
from harness.runs.cell import run_cell
from harness.runs.request import Request, resolve
from harness.store import Cell, Store
from harness.variant import Composition, CompositionError, Variant, Variants

SIDE = 16
"""Height and width of the frames that networks are tried on, pixels."""


class VariantContract:
    """What holds for every variant. Subclass it in a test file and set `variant`; see the module's docstring.

    A method may be overridden to widen a claim, or to fail on purpose with a reason; do not narrow one silently.
    """

    variant: ClassVar[str]
    """Name of the variant under test, or of a composition ('residual+mine')."""
    plugin: ClassVar[Path | None] = None
    """The file that provides it; None when it is installed, and so found through its entry point."""

    # --- what it says about itself

    def test_loads_and_says_what_it_is_and_where_it_comes_from(self) -> None:
        """A summary of one line and a source, for `harness list`."""
        for variant in self._parts:
            assert variant.summary.strip(), f"{variant.name} has no summary"
            assert len(variant.summary.splitlines()) == 1, f"the summary of {variant.name} is longer than a line"
            assert variant.source.strip(), f"{variant.name} does not say where the idea comes from"

    def test_components_are_frozen_documented_and_comparable(self) -> None:
        """A component is part of a run's identity: it cannot change, equal fields make equal values, every field is explained."""
        for path, component in self._components.items():
            kind = type(component)
            names = [field.name for field in dataclasses.fields(component)]
            assert path in (kind.slot, f"{kind.slot}.{kind.name}"), f"{kind.__name__}.slot is not {path!r}, where it is put"
            twin = kind(**{name: getattr(component, name) for name in names})
            assert twin == component, f"two {kind.__name__} with equal fields are not equal"
            assert hash(twin) == hash(component), f"two equal {kind.__name__} have different hashes"
            doc = kind.__doc__ or ""
            assert doc, f"{kind.__name__} has no docstring"
            assert not doc.startswith(f"{kind.__name__}("), f"{kind.__name__} has no docstring of its own"
            unexplained = [f.name for f in dataclasses.fields(component) if f.name not in doc and not f.metadata.get("doc")]
            assert not unexplained, f"the docstring of {kind.__name__} does not explain {', '.join(unexplained)}"

    # --- what it does to an experiment

    def test_its_changes_apply_to_every_preset(self) -> None:
        """The experiment resolves for a device, has the changes, and its network can be built."""
        for name in PRESETS:
            experiment = resolve(self._composition.apply(preset(name), name, self._find), "cpu")
            for path, value in self._composition.at(name).items():
                if not isinstance(value, str):
                    assert experiment.replace({path: value}, self._find) == experiment, f"{path} was not changed at {name}"
            data = experiment.data
            with torch.device("meta"):
                build_model(experiment.architecture, Shape(1, data.canvas, data.canvas, data.input_frames, data.horizon), 0)

    def test_composes_with_every_installed_variant_in_any_order(self) -> None:
        """The order of the names means nothing; two variants that claim one path are refused by name."""
        for other in self._installed:
            both = f"{self.variant}+{other}", f"{other}+{self.variant}"
            first, second = (self._composed_or_refusal(text) for text in both)
            assert first == second, f"{both[0]} is not {both[1]}: {first}, {second}"
            if isinstance(first, Composition):
                assert isinstance(second, Composition)
                assert first.apply(preset("tiny"), "tiny", self._find) == second.apply(preset("tiny"), "tiny", self._find)
            else:
                ours = [variant.name for variant in self._parts if repr(variant.name) in first]
                assert ours, f"the refusal of {both[0]} does not name {self.variant}: {first}"
                assert repr(other) in first, f"the refusal of {both[0]} does not name {other}: {first}"

    def test_survives_json_with_the_same_identity(self) -> None:
        """A record read back is the experiment that was written, and asks for the same checkpoint and result."""
        experiment = self._experiment
        record = json.loads(json.dumps(experiment.to_dict(), allow_nan=False))
        back = Experiment.from_dict(record, self._find)
        assert back == experiment
        identity = {"train": "a", "evaluation": "b"}
        before, after = (Cell(self.variant, "tiny", one, identity) for one in (experiment, back))
        assert (after.training_key, after.run_id) == (before.training_key, before.run_id)

    # --- the network

    def test_starts_from_the_weights_of_the_base(self) -> None:
        """What it shares with the base has the same weights at one seed: comparisons of variants are paired.

        Another network shares nothing with the base's.
        """
        if not self._like(preset("tiny")):
            return
        ours, base = self._weights(self._experiment), self._weights(preset("tiny"))
        for name in ours.keys() & base.keys():
            if ours[name].shape == base[name].shape:
                assert torch.equal(ours[name], base[name]), f"{name} starts from other weights than the base's"

    def test_initial_weights_follow_from_the_seed_alone(self) -> None:
        """Not from what was built before, from random generators that others use, or from the company it is in."""
        first = self._weights(self._experiment)
        random.seed(1)
        np.random.seed(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            _assert_equal(self._weights(self._experiment), first, "built a second time, {} starts from other weights")
        for other in self._installed:
            try:
                composition = self._variants.compose(f"{self.variant}+{other}")
                together = composition.apply(preset("tiny"), "tiny", self._find)
            except RequestError:
                continue
            if not self._like(together):
                continue
            message = f"together with {other}, {{}} starts from other weights"
            _assert_equal(self._weights(together), first, message)
        others = self._weights(self._experiment, seed=1)
        assert any(not torch.equal(others[name], weights) for name, weights in first.items()), (
            "every seed gives the same weights"
        )

    def test_maps_frames_to_every_horizon(self) -> None:
        """(B, T, C, H, W) -> (B, horizon, C, H, W) in float32, for any horizon, number of frames, channels and shape of frame."""
        full = self._experiment.data.horizon
        for horizon in range(1, full + 1):
            self._assert_shape(_frames(), horizon)
        self._assert_shape(_frames(batch=1, frames=1), full)
        self._assert_shape(_frames(width=SIDE // 2), full)
        self._assert_shape(_frames(channels=3), full)

    def test_every_parameter_learns(self) -> None:
        """Each gets a finite gradient that is not zero. The weights are disturbed first: gates may start at zero.

        In evaluation mode or in training, where a network may add a loss of its own (`auxiliary_loss`): a layer that is only
        for that loss learns nothing from predictions, a bias before a normalisation by batch nothing in training mode.
        """
        model = self._network()
        for training in (False, True):
            with seeded(0, "learns"):
                prediction = model.train(training)(_frames(), self._experiment.data.horizon)
            loss = (prediction * _noise(prediction.shape, seed=3)).sum()
            auxiliary = getattr(model, "auxiliary_loss", None)
            (loss if auxiliary is None else loss + auxiliary).backward()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, f"{name} is dead: it takes no part in the prediction"
                assert parameter.grad.isfinite().all(), f"the gradient of {name} is not finite"
                assert parameter.grad.any(), f"{name} is dead: its gradient is zero"

    def test_learns_in_16_bits(self) -> None:
        """In NHWC, as networks on a GPU are laid out: the prediction is about that of 32 bits, every gradient is finite."""
        exact, model, frames = self._network(), self._network(), _frames()
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        with torch.autocast("cpu", dtype=torch.bfloat16), seeded(0, "learns"):
            prediction = model.train()(frames, 2)
        prediction.float().square().sum().backward()
        assert all(one.grad.isfinite().all() for one in model.parameters() if one.grad is not None)
        with seeded(0, "learns"):
            torch.testing.assert_close(prediction.float(), exact.train()(frames, 2), rtol=0.1, atol=0.1)

    def test_is_a_function_of_its_input(self) -> None:
        """Two calls agree bit for bit, and leave the input alone."""
        model, frames = self._network(), _frames()
        with torch.no_grad():
            first, second = model(frames, 2), model(frames, 2)
        assert torch.equal(first, second), "two predictions from one input differ in evaluation mode"
        assert torch.equal(frames, _frames()), "the input was changed"

    def test_sequences_of_a_batch_do_not_mix(self) -> None:
        """A sequence is predicted as if it were alone, in evaluation mode: what normalises by batch mixes them in training."""
        model, frames = self._network(), _frames(batch=3)
        with torch.no_grad():
            together = model(frames, 2)
            alone = torch.cat([model(one[None], 2) for one in frames])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)

    def test_the_fast_path_equals_the_reference(self) -> None:
        """In float32 the layers as they train agree with their plain reading, in predictions and in gradients."""
        fast, reference = self._network(), use_reference(self._network())
        full = self._experiment.data.horizon
        ours, theirs = fast(_frames(), full), reference(_frames(), full)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        for prediction in (ours, theirs):
            prediction.square().mean().backward()
        for (name, one), other in zip(fast.named_parameters(), reference.parameters(), strict=True):
            if one.grad is not None and other.grad is not None:
                difference = float((one.grad - other.grad).abs().max() / (other.grad.abs().max() + 1e-6))
                assert difference < 1e-3, (
                    f"the gradient of {name} differs from the reference's by {difference:.1e} of its size"
                )

    # --- training and inference

    def test_a_curriculum_grows_to_the_full_horizon(self) -> None:
        """It stays in 1..full, never shrinks, and ends at the full horizon. Without a curriculum there is nothing to ask."""
        curriculum = self._experiment.training.curriculum
        if curriculum is None:
            return
        for full in (1, 2, 3, 10, 50):
            horizons = [curriculum.horizon(step / 200, full) for step in range(201)]
            assert all(isinstance(one, int) and 1 <= one <= full for one in horizons), f"a horizon is not in 1..{full}"
            assert horizons == sorted(horizons), f"the horizon shrinks on the way to {full}"
            assert horizons[-1] == full, f"training ends at a horizon of {horizons[-1]}, not {full}"

    def test_predicts_the_mean_over_its_views(self) -> None:
        """Each view is transformed back before the average; identity alone is the network's own answer, bit for bit."""
        model, frames, views = self._network(), _frames(), self._experiment.inference.views
        with torch.no_grad():
            plain = model(frames, 2)
            each = [view.inverse(model(view.forward(frames).contiguous(), 2)) for view in views]
        assert torch.equal(predict(model, frames, 2), plain)
        torch.testing.assert_close(predict(model, frames, 2, views), torch.stack(each).mean(0))

    def test_trains_to_a_finite_result(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A few steps in the way of `harness run`: no step is skipped, all metrics are finite, the result is found again."""
        monkeypatch.setattr(measure, "median_seconds", _once)  # how fast it predicts is not what is asked here
        cell, source = Request(preset="tiny").cell(self._variants, self.variant)
        store = Store(tmp_path / "store")
        result = run_cell(cell, store, source).result
        assert result["status"] == "finished"
        assert result["training"]["steps"] == cell.experiment.training.steps
        assert result["training"]["skipped_steps"] == 0, "steps were skipped: their loss or gradient was not finite"
        assert result["params"] > 0
        assert result["flops_per_sequence"] > 0
        for name, value in result["metrics"].items():
            assert math.isfinite(math.nan if value is None else value), f"{name} is {value}"
        again = run_cell(cell, store, source)
        assert again.cached, "a finished cell was trained a second time"
        assert again.result == result

    # --- the parts of the tests

    @cached_property
    def _variants(self) -> Variants:
        return Variants(files=[self.plugin] if self.plugin else [])

    @cached_property
    def _composition(self) -> Composition:
        if not getattr(self, "variant", ""):
            pytest.fail(f"{type(self).__name__} sets no `variant`: write variant = 'name' in the class")
        try:
            return self._variants.compose(self.variant)
        except HarnessError as error:
            pytest.fail(str(error))

    @property
    def _parts(self) -> tuple[Variant, ...]:
        return self._composition.variants

    @property
    def _installed(self) -> list[str]:
        return [plugin.name for plugin in self._variants if plugin.error is None]

    @property
    def _experiment(self) -> Experiment:
        return resolve(self._composition.apply(preset("tiny"), "tiny", self._find), "cpu")

    def _find(self, slot: str, name: str) -> type[Component]:
        return self._variants.components.find(slot, name)

    @property
    def _components(self) -> dict[str, Component]:
        changes = self._composition.at("tiny").items()
        return {path: value for path, value in changes if isinstance(value, Component)}

    def _composed_or_refusal(self, text: str) -> Composition | str:
        try:
            return self._variants.compose(text)
        except CompositionError as error:
            return str(error)

    def _like(self, other: Experiment) -> bool:
        """Whether it is the same kind of network."""
        return type(other.architecture) is type(self._experiment.architecture)

    def _weights(self, experiment: Experiment, seed: int = 0) -> dict[str, Tensor]:
        model = build_model(experiment.architecture, _shape_of(_frames(), experiment.data.horizon), seed)
        return {name: tensor.detach() for name, tensor in model.named_parameters()}

    def _network(self, frames: Tensor | None = None) -> torch.nn.Module:
        """The network for such frames in evaluation mode, moved away from its initial weights, where gates are often closed."""
        shape = _shape_of(_frames() if frames is None else frames, self._experiment.data.horizon)
        model = build_model(self._experiment.architecture, shape, seed=0).eval()
        with torch.no_grad():
            for index, parameter in enumerate(model.parameters()):
                parameter.add_(_noise(parameter.shape, seed=index), alpha=0.1)
        return model

    def _assert_shape(self, frames: Tensor, horizon: int) -> None:
        batch, _, channels, height, width = frames.shape
        with torch.no_grad():
            prediction = self._network(frames)(frames, horizon)
        assert prediction.shape == (batch, horizon, channels, height, width), (
            f"{tuple(frames.shape)} at horizon {horizon} gave {tuple(prediction.shape)}"
        )
        assert prediction.dtype == torch.float32
        assert prediction.isfinite().all(), f"{tuple(frames.shape)} at horizon {horizon} gave frames that are not finite"


def _frames(batch: int = 2, frames: int = 3, channels: int = 1, width: int = SIDE) -> Tensor:
    return _noise((batch, frames, channels, SIDE, width), seed=11).sigmoid()


def _shape_of(frames_BTCHW: Tensor, horizon: int) -> Shape:
    _, frames, channels, height, width = frames_BTCHW.shape
    return Shape(channels, height, width, frames, horizon)


def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], message: str) -> None:
    for name, tensor in expected.items():
        if name in found and found[name].shape == tensor.shape:
            assert torch.equal(found[name], tensor), message.format(name)


def _once(once: Callable[[], None], seconds: float, **options: int) -> float:
    del seconds, options
    once()
    return 1.0
