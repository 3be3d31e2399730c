"""The rehearsal of a cell: what cannot work fails before anything is written, in one line that names the component.

Every component is tried at the experiment's real shapes, on the host in float32, with one sequence or two. That costs four passes
through the network. No random state is changed, and nothing that is trained later depends on it.

Longer than other files because every slot has its own question, and its own sentence for each way to fail it.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.component import Component
from harness.data.source import Source
from harness.errors import RequestError
from harness.evaluation.evaluate import evaluate
from harness.evaluation.metrics import BUILT_IN
from harness.evaluation.micro_batches import MicroBatcher
from harness.experiment import Experiment
from harness.model.build import build_model
from harness.notation import shown
from harness.runs.blame import blamed, calling, first_module, preserved_randomness, suspect, who
from harness.system.seeds import derived_seed
from harness.training.build import build_loss, build_optimizer
from harness.training.checkpoint import OptimizerState, Stateful
from harness.training.schedules import NOMINAL_TOTAL
from harness.training.start import start_from
from harness.training.step import apply_schedule, forward_backward, loss_of

SEQUENCES = 2
"""In the batch that is tried, or as many as a batch has. A network gets one, or two where it normalises by batch."""


def smoke_test(experiment: Experiment, source: Source) -> None:
    """Tries every component of the experiment once.

    Raises RequestError naming the component, its slot, what it gave and what is wanted: for a wrong shape or type, values that
    are not finite, a draw from global randomness, state that a checkpoint does not have, a network that cannot be built on the
    meta device, and frames that do not suit the architecture, a view or a metric.
    """
    with preserved_randomness():
        rehearsal = _Rehearsal(experiment, source)
        frames = rehearsal.draw_a_batch()
        rehearsal.measure(frames)
        rehearsal.ask_functions()
        model = rehearsal.build()
        rehearsal.predict(model)
        rehearsal.compute_losses(frames)
        rehearsal.train_and_resume(model, frames)


class _Rehearsal:
    def __init__(self, experiment: Experiment, source: Source) -> None:
        self.experiment, self.source, self.training = experiment, source, experiment.training
        self.architecture: Component = experiment.architecture
        self.shown, self.horizon = experiment.data.input_frames, experiment.data.horizon
        self.size = min(SEQUENCES, self.training.batch_size)

    # --- data

    def draw_a_batch(self) -> Tensor:
        """A validation sequence, what each augmentation makes of it, and a training batch."""
        data, seed = self.experiment.data, self.training.seed
        wanted = (self.size, self.shown + self.horizon, self.source.channels, self.source.height, self.source.width)
        with calling(self.experiment, data, "its validation sequences"):
            held_out = self._filled(next(iter(self.source.validation(1, "cpu"))))
        _check_frames(data, "a batch of its validation sequences", held_out, (1, *wanted[1:]))
        for one in getattr(data, "augment", ()):
            given = held_out[:, : self.shown] if one.inputs_only else held_out
            self._try_augmentation(one, given.repeat(self.size, 1, 1, 1, 1))
        frames: Tensor = self._same_twice(
            data, "its training batch", lambda: self.source.train_batch(seed, 0, self.size, self.horizon, "cpu")
        )
        _check_frames(data, "its training batch", self._filled(frames), wanted)
        return frames

    def _filled(self, frames: Tensor) -> Tensor:
        """The frames with what stands for missing values."""
        return frames if self.source.fill is None else self.source.fill(frames)

    def _try_augmentation(self, one: Any, frames: Tensor) -> None:
        def apply() -> Tensor:
            given = frames.clone()
            made: Tensor = one.apply(given, torch.Generator().manual_seed(derived_seed(0, one.name)))
            if not torch.equal(given, frames):
                raise RequestError(f"{who(one)}: apply changed the frames that it was given; wanted: a tensor of its own")
            return made

        made = self._same_twice(one, "apply", apply)
        _check_frames(one, "apply", made, tuple(frames.shape))
        low, high = float(made.min()), float(made.max())
        if frames.min() >= 0 and frames.max() <= 1 and not 0 <= low <= high <= 1:
            raise RequestError(f"{who(one)}: apply gave intensities of {low:g} to {high:g}; wanted: 0 to 1")

    def measure(self, frames: Tensor) -> None:
        """Each metric beside the built-in ones."""
        target = frames[:, self.shown :]
        prediction, wanted = (0.9 * target + 0.05).clamp(0, 1), (len(target), self.horizon)
        for one in self.experiment.metrics:
            found = self._same_twice(one, "counts", lambda: one.counts(prediction.clone(), target.clone()))  # noqa: B023  # called at once
            right = isinstance(found, Tensor) and found.ndim == 3 and tuple(found.shape[:2]) == wanted
            if not right or found.dtype != torch.float64:
                shape = f"({wanted[0]}, {wanted[1]}, counts)"
                raise RequestError(f"{who(one)}: counts gave {_described(found)}; wanted: a float64 tensor of shape {shape}")
            if not found.isfinite().all():
                raise RequestError(f"{who(one)}: counts of finite frames are not finite; wanted: finite numbers")
            value = self._same_twice(one, "finish", lambda: one.finish(found.sum((0, 1)).tolist()))  # noqa: B023  # called at once
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RequestError(f"{who(one)}: finish gave {_described(value)}; wanted: a number")

    # --- functions of the share of the budget

    def ask_functions(self) -> None:
        """Curriculum, schedule and feeding at the beginning, in the middle and at the end of the budget."""
        curriculum, schedule, feeding = self.training.curriculum, self.training.schedule, self.training.feeding
        total = float(self.training.steps or NOMINAL_TOTAL)
        for share in (0.0, 0.5, 1.0):
            if curriculum is not None:
                horizon = self._same_twice(curriculum, "horizon", lambda: curriculum.horizon(share, self.horizon))  # noqa: B023  # called at once
                if isinstance(horizon, bool) or not isinstance(horizon, int) or not 1 <= horizon <= self.horizon:
                    raise RequestError(
                        f"{who(curriculum)}: horizon({share}, {self.horizon}) gave {shown(horizon)}; wanted: a whole number of "
                        f"frames, 1 to {self.horizon}"
                    )
            values = self._same_twice(schedule, "values", lambda: schedule.values(share * (total - 1), total, 1.0))  # noqa: B023  # called at once
            if not isinstance(values, Mapping) or not all(map(_finite_number, values.values())):
                raise RequestError(
                    f"{who(schedule)}: values gave {shown(values)}; wanted: finite numbers by name, such as {{'lr': 0.001}}"
                )
        if feeding is not None:
            used = self._same_twice(feeding, "draw", self._draw_feeding)
            wanted = (self.size, self.shown + self.horizon - 1)
            if not isinstance(used, Tensor) or used.dtype != torch.bool or tuple(used.shape) != wanted:
                raise RequestError(f"{who(feeding)}: draw gave {_described(used)}; wanted: a bool tensor of shape {wanted}")

    def _draw_feeding(self) -> Any:
        generator = torch.Generator().manual_seed(derived_seed(self.training.seed, "feeding/0"))
        return self.training.feeding.draw(self.size, self.shown, self.horizon, 0.0, generator)

    def _fed(self, frames: Tensor) -> Tensor | None:
        return None if self.training.feeding is None else self._draw_feeding()[: len(frames)]

    # --- the network

    def build(self) -> nn.Module:
        """The network, on the meta device and on the host."""
        with calling(self.experiment, self.architecture, "build on the meta device", may_draw=True), torch.device("meta"):
            self._built()
        with calling(self.experiment, self.architecture, "build", may_draw=True):
            model = self._built()
        feeding = self.training.feeding
        if feeding is not None and "feed" not in inspect.signature(model.forward).parameters:
            raise RequestError(
                f"training.feeding is {feeding.name}, but the architecture {self.architecture.name} reads no prediction of its "
                "own: its forward has no parameter `feed`; set training.feeding=none, or choose an architecture that has it, "
                "such as predrnn"
            )
        for name, tensor in model.state_dict().items():
            if not tensor.isfinite().all():
                raise RequestError(f"{self._owner(model, name)}: {name} starts from values that are not finite")
        start_from(self.experiment, model, lambda text: None)
        return model

    def _built(self) -> nn.Module:
        model = build_model(self.architecture, self.source.shape, self.training.seed)
        if not isinstance(model, nn.Module):
            raise RequestError(f"{who(self.architecture)}: build gave {_described(model)}; wanted: a torch.nn.Module")
        return model

    def predict(self, model: nn.Module) -> None:
        """A validation sequence through network, views and metrics, as validation and test do."""
        frames = next(iter(self.source.validation(1, "cpu")))
        wanted = (1, self.horizon, *frames.shape[2:])

        def check(module: nn.Module, given: Any, prediction: object) -> None:
            if tuple(getattr(prediction, "shape", ())) != wanted and len(self.experiment.inference.views) > 1:
                turned = (*wanted[:3], wanted[4], wanted[3])
                _check_kind(self.architecture, "a prediction", prediction, turned)
            else:
                _check_kind(self.architecture, "a prediction", prediction, wanted)
            assert isinstance(prediction, Tensor)
            if not prediction.isfinite().all():
                raise RequestError(
                    f"{self._first_not_finite(model, given)}: a prediction is not finite; wanted: finite frames"
                )

        handle = model.register_forward_hook(check)
        try:
            with calling(self.experiment, self.architecture, "a prediction in evaluation mode"):
                evaluate(
                    {"model": model},
                    [frames],
                    (*BUILT_IN, *self.experiment.metrics),
                    shown=self.shown,
                    horizon=self.horizon,
                    views=self.experiment.inference.views,
                    micro_batches=MicroBatcher(1),
                    missing=self.source.missing,
                )
        finally:
            handle.remove()

    def _first_not_finite(self, model: nn.Module, given: Any) -> str:
        def bad(output: object) -> bool:
            return isinstance(output, Tensor) and not bool(output.isfinite().all())

        guilty = first_module(model, lambda: model.forward(*given), bad)
        return who(blamed(self.experiment, guilty) or suspect(self.architecture))

    def _owner(self, model: nn.Module, name: str) -> str:
        """The component whose module has the parameter of that name, in words."""
        path = name.rpartition(".")[0]
        parts = path.split(".")
        for length in range(len(parts), -1, -1):
            found = blamed(self.experiment, model.get_submodule(".".join(parts[:length])))
            if found is not None and found is not self.architecture:
                return who(found)
        return who(suspect(self.architecture))

    # --- training

    def compute_losses(self, frames: Tensor) -> None:
        """Each term of the loss by itself, whatever its weight is now."""
        target = self._filled(frames)[:, self.shown :]
        for term in self.experiment.loss:
            prediction = (0.9 * target + 0.05).requires_grad_()
            found = self._same_twice(term, "compute", lambda: term.compute(prediction, target))  # noqa: B023  # called at once
            if not isinstance(found, Tensor) or found.ndim or not found.is_floating_point():
                raise RequestError(
                    f"{who(term)}: compute gave {_described(found)}; wanted: a tensor with one number, float32"
                )
            if not found.isfinite():
                raise RequestError(f"{who(term)}: compute gave {float(found.detach())}; wanted: a finite number")
            if not found.requires_grad:
                raise RequestError(
                    f"{who(term)}: compute gave a number without a gradient; wanted: one that trains the network"
                )

    def train_and_resume(self, model: nn.Module, frames: Tensor) -> None:
        """A step of training; then a copy that has nothing but what a checkpoint keeps must do the same as the original."""
        by_batch = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())
        frames = frames if by_batch else frames[:1]
        optimizer, average = self._step(model, frames)
        saved = {"network": _kept(self.architecture, model)}
        saved["optimizer"] = _kept(self.training.optimizer, OptimizerState(optimizer, model))
        twin = self._built()
        for name, parameter in twin.named_parameters():
            parameter.requires_grad_(model.get_parameter(name).requires_grad)
        twin.load_state_dict(saved["network"])
        twin.train()
        losses = [self._loss(one, frames) for one in (model, twin)]
        if not torch.equal(*losses):
            raise RequestError(
                f"{who(suspect(self.architecture))}: after a step the network keeps state that a checkpoint does not have; wanted: "
                "all that changes in parameters and buffers (register_buffer)"
            )
        with calling(self.experiment, self.training.optimizer, "build"):
            other = build_optimizer(self.experiment, twin)
        OptimizerState(other, twin).load_state_dict(saved["optimizer"])
        averages = [(model, average)]
        if average is not None:
            restored = self.training.average.build(twin)
            restored.load_state_dict(_kept(self.training.average, average))
            averages.append((twin, restored))
        for name, parameter in twin.named_parameters():
            gradient = model.get_parameter(name).grad
            parameter.grad = None if gradient is None else gradient.clone()
        for one in (optimizer, other):
            with calling(self.experiment, self.training.optimizer, "step"):
                apply_schedule(one, lambda lr: self.training.schedule.values(0, 1, lr))
                one.step()
        if not _same(dict(model.named_parameters()), dict(twin.named_parameters())):
            raise RequestError(
                f"{who(self.training.optimizer)}: a step after resuming differs; it keeps state that is not in `state` or "
                "`param_groups`; wanted: all of it there, or in state_dict()"
            )
        if average is not None:
            for _, one in averages:
                with calling(self.experiment, self.training.average, "update"):
                    one.update()
            if not _same(*(_kept(self.training.average, one) for _, one in averages)):
                raise RequestError(
                    f"{who(self.training.average)}: an update after resuming differs; wanted: all state in state_dict()"
                )

    def _step(self, model: nn.Module, frames: Tensor) -> tuple[torch.optim.Optimizer, Any]:
        model.train()
        torch.default_generator.manual_seed(derived_seed(self.training.seed, 0))
        with calling(self.experiment, self.architecture, "a training step", may_draw=True):
            loss = forward_backward(
                model,
                frames,
                shown=self.shown,
                horizon=self.horizon,
                progress=0.0,
                loss=build_loss(self.experiment),
                precision="float32",
                scale=1.0,
                use_truth_BT=self._fed(frames),
                fill=self.source.fill,
            )
        if not loss.isfinite():
            raise RequestError(
                f"{who(suspect(self.architecture))}: the loss in training mode is {float(loss)}; wanted: finite"
            )
        for name, parameter in model.named_parameters():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                raise RequestError(
                    f"{self._owner(model, name)}: the gradient of {name} is not finite; wanted: finite numbers"
                )
        slot = self.training.optimizer
        with calling(self.experiment, slot, "build"):
            optimizer = build_optimizer(self.experiment, model)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise RequestError(f"{who(slot)}: build gave {_described(optimizer)}; wanted: a torch.optim.Optimizer")
        average = None
        if self.training.average is not None:
            with calling(self.experiment, self.training.average, "build"):
                average = self.training.average.build(model)
        with calling(self.experiment, slot, "step"):
            apply_schedule(optimizer, lambda lr: self.training.schedule.values(0, 1, lr))
            optimizer.step()
        for name, parameter in model.named_parameters():
            if not parameter.isfinite().all():
                raise RequestError(f"{who(slot)}: after a step {name} is not finite; wanted: finite weights")
        if average is not None:
            with calling(self.experiment, self.training.average, "update"):
                average.update()
        return optimizer, average

    def _loss(self, model: nn.Module, frames: Tensor) -> Tensor:
        torch.default_generator.manual_seed(derived_seed(self.training.seed, 1))
        with torch.no_grad(), calling(self.experiment, self.architecture, "a training step", may_draw=True):
            return loss_of(
                model,
                frames,
                shown=self.shown,
                horizon=self.horizon,
                progress=0.0,
                loss=build_loss(self.experiment),
                precision="float32",
                use_truth_BT=self._fed(frames),
                fill=self.source.fill,
            )

    def _same_twice(self, component: Component, method: str, call: Callable[[], Any]) -> Any:
        """What a call gives. Raises RequestError when it gives something else the second time."""
        with calling(self.experiment, component, method):
            first, second = call(), call()
        if not _same({"": first}, {"": second}):
            raise RequestError(
                f"{who(component)}: {method} gave other values for the same arguments; wanted: a function of its arguments alone"
            )
        return first


def _kept(component: Component, holder: Stateful | nn.Module) -> dict[str, Any]:
    """What a checkpoint would hold of it."""
    state = holder.state_dict()
    tensors = {name: value.detach().clone() for name, value in state.items() if isinstance(value, Tensor)}
    try:
        values = json.loads(json.dumps({name: value for name, value in state.items() if not isinstance(value, Tensor)}))
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"{who(component)}: its state cannot be saved ({error}); wanted: tensors and JSON values"
        ) from None
    return {**tensors, **values}


def _same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    def equal(one: Any, other: Any) -> bool:
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
        return bool(one == other)

    return first.keys() == second.keys() and all(equal(first[name], second[name]) for name in first)


def _check_frames(component: Component, what: str, frames: object, wanted: tuple[int, ...]) -> None:
    _check_kind(component, what, frames, wanted)
    if isinstance(frames, Tensor) and not frames.isfinite().all():
        raise RequestError(f"{who(component)}: {what} has values that are not finite; wanted: intensities of 0 to 1")


def _check_kind(component: Component, what: str, found: object, wanted: tuple[int, ...]) -> None:
    if not isinstance(found, Tensor) or tuple(found.shape) != wanted or found.dtype != torch.float32:
        raise RequestError(f"{who(component)}: {what} gave {_described(found)}; wanted: a float32 tensor of shape {wanted}")


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    kind = type(value).__name__
    return f"a {kind} ({shown(value)})" if isinstance(value, int | float | str) else f"a {kind}"


def _finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
