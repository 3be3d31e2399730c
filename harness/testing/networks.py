"""The suites of `architecture` and of the slots inside the encoder-forecaster."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from harness.component import Shape
from harness.model.build import build_model, seeded
from harness.testing.components import ComponentContract, assert_all_learn, disturbed, noise

IN, OUT, SIDE = 3, 5, 8


class ArchitectureContract(ComponentContract):
    """What holds for every network, `build(shape, seed) -> module (frames (B, T, C, H, W), horizon) -> (B, horizon, C, H, W)`."""

    slot: ClassVar[str] = "architecture"

    def test_maps_frames_to_every_horizon(self) -> None:
        """In float32, for other channels, numbers of frames and shapes of frame, built for the frames at hand."""
        for shape in (Shape(1, 16, 16, 3, 3), Shape(3, 16, 16, 3, 3), Shape(1, 16, 8, 3, 3), Shape(1, 16, 16, 1, 3)):
            model = build_model(self.component, shape, 0).eval()
            for horizon in (1, 2, shape.horizon):
                with torch.no_grad():
                    prediction = model(_frames(shape), horizon)
                assert tuple(prediction.shape) == (2, horizon, shape.channels, shape.height, shape.width)
                assert prediction.dtype == torch.float32
                assert prediction.isfinite().all()

    def test_initial_weights_follow_from_the_seed(self) -> None:
        """Equal for one seed, others for another."""
        first, again, other = (dict(self._model(seed).named_parameters()) for seed in (0, 0, 1))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)

    def test_is_a_function_of_its_input_and_sequences_do_not_mix(self) -> None:
        """In evaluation mode; two calls agree bit for bit."""
        model, frames = disturbed(self._model()).eval(), _frames(Shape(1, 16, 16, 3, 3))
        with torch.no_grad():
            first, second = model(frames, 2), model(frames, 2)
            alone = torch.cat([model(one[None], 2) for one in frames])
        assert torch.equal(first, second)
        torch.testing.assert_close(first, alone, rtol=1e-4, atol=1e-4)

    def test_every_parameter_learns(self) -> None:
        """From its predictions, or from the loss that it adds in training (`auxiliary_loss`)."""
        model, frames = disturbed(self._model()), _frames(Shape(1, 16, 16, 3, 3))
        total = torch.zeros(())
        for training in (False, True):
            with seeded(0, "learns"):
                prediction = model.train(training)(frames, 3)
            total = total + (prediction * noise(*prediction.shape, seed=1)).sum()
            if (auxiliary := getattr(model, "auxiliary_loss", None)) is not None:
                total = total + auxiliary
        assert_all_learn(model, total)

    def _model(self, seed: int = 0) -> nn.Module:
        return build_model(self.component, Shape(1, 16, 16, 3, 3), seed)


class CellContract(ComponentContract):
    """What holds for every recurrent layer, called as `harness.model.cell.ConvLSTM` is."""

    slot: ClassVar[str] = "architecture.cell"

    def test_gives_an_output_a_step_and_a_state(self) -> None:
        """(T, B, in, H, W) -> (T, B, out, H, W), and without an input from a state."""
        layer = self._layer()
        outputs, state = layer(noise(4, 2, IN, SIDE, SIDE))
        assert tuple(outputs.shape) == (4, 2, OUT, SIDE, SIDE)
        rolled, _ = layer(None, state, steps=3)
        assert tuple(rolled.shape) == (3, 2, OUT, SIDE, SIDE)
        assert isinstance(state, tuple)
        assert tuple(state[0].shape) == (2, OUT, SIDE, SIDE), "the first part of the state is shown to the forecaster"

    def test_all_that_it_remembers_is_in_its_state(self) -> None:
        """Two steps and then two are four."""
        layer, inputs = disturbed(self._layer()), noise(4, 2, IN, SIDE, SIDE)
        with torch.no_grad():
            whole, _ = layer(inputs)
            first, state = layer(inputs[:2])
            second, _ = layer(inputs[2:], state)
        torch.testing.assert_close(torch.cat([first, second]), whole)

    def test_every_parameter_learns_with_a_constant_input_too(self) -> None:
        """The weights of an input that stays the same over all steps."""
        layer = disturbed(self._layer(constant_channels=OUT))
        outputs, _ = layer(noise(3, 2, IN, SIDE, SIDE), None, constant=noise(2, OUT, SIDE, SIDE, seed=1))
        assert_all_learn(layer, (outputs * noise(*outputs.shape, seed=2)).sum())

    def _layer(self, **more: int) -> Any:
        with seeded(0, "cell"):
            return self.component.build(IN, OUT, 3, **more)  # type: ignore[attr-defined]


class _ModuleContract(ComponentContract):
    def _check(self, module: nn.Module, wanted: tuple[int, ...], *inputs: Tensor) -> None:
        found = disturbed(module)(*inputs)
        assert tuple(found.shape) == wanted
        assert_all_learn(module, (found * noise(*found.shape, seed=9)).sum())


class SkipContract(_ModuleContract):
    """What holds for every path around a layer, `build(in_channels, out_channels) -> (N, in, H, W) -> (N, out, H, W)`."""

    slot: ClassVar[str] = "architecture.skip"

    def test_maps_each_frame_and_learns(self) -> None:
        """To the layer's channels."""
        with seeded(0, "skip"):
            module = self.component.build(IN, OUT)  # type: ignore[attr-defined]
        self._check(module, (2, OUT, SIDE, SIDE), noise(2, IN, SIDE, SIDE))


class BottleneckContract(_ModuleContract):
    """What holds for every module on the deep features, `build(channels) -> (B, T, C, H, W) -> the same shape`."""

    slot: ClassVar[str] = "architecture.bottleneck"

    def test_keeps_the_shape_and_learns(self) -> None:
        """For any number of frames."""
        for frames in (1, 3):
            with seeded(0, "bottleneck"):
                module = self.component.build(8)  # type: ignore[attr-defined]
            self._check(module, (2, frames, 8, SIDE, SIDE), noise(2, frames, 8, SIDE, SIDE))


class HeadContract(_ModuleContract):
    """What holds for every head, `build(in, out) -> (features (T, B, in, h, w), inputs (S, B, out, h, w)) -> (T, B, out, h, w)`."""

    slot: ClassVar[str] = "architecture.head"

    def test_makes_frames_of_features_and_inputs_and_learns(self) -> None:
        """As many frames as there are features, whatever the number of inputs."""
        for shown in (1, 4):
            with seeded(0, "head"):
                module = self.component.build(IN, OUT)  # type: ignore[attr-defined]
            self._check(
                module, (3, 2, OUT, SIDE, SIDE), noise(3, 2, IN, SIDE, SIDE), noise(shown, 2, OUT, SIDE, SIDE, seed=1)
            )


def _frames(shape: Shape) -> Tensor:
    return noise(2, shape.input_frames, shape.channels, shape.height, shape.width, seed=5).sigmoid()
