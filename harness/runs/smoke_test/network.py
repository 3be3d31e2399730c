"""The network: built, and a sequence predicted as validation and test do."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import RequestError
from harness.evaluation.evaluate import evaluate
from harness.evaluation.metrics.in_unit import measured_on
from harness.evaluation.micro_batches import MicroBatcher
from harness.model.build import build_model
from harness.runs.blame import blamed, calling, first_module, suspect, who
from harness.runs.smoke_test.checks import Setup, check_kind, described
from harness.training.start import start_from


def build(setup: Setup) -> nn.Module:
    """The network, on the meta device and on the host."""
    with calling(setup.experiment, setup.architecture, "build on the meta device", may_draw=True), torch.device("meta"):
        built(setup)
    with calling(setup.experiment, setup.architecture, "build", may_draw=True):
        model = built(setup)
    feeding = setup.training.feeding
    if feeding is not None and "feed" not in inspect.signature(model.forward).parameters:
        raise RequestError(
            f"training.feeding is {feeding.name}, but the architecture {setup.architecture.name} reads no prediction of its "
            "own: its forward has no parameter `feed`; set training.feeding=none, or choose an architecture that has it, "
            "such as predrnn"
        )
    for name, tensor in model.state_dict().items():
        if not tensor.isfinite().all():
            raise RequestError(f"{owner(setup, model, name)}: {name} starts from values that are not finite")
    start_from(setup.experiment, model, lambda text: None)
    return model


def built(setup: Setup) -> nn.Module:
    """The network as the architecture builds it from the seed."""
    model = build_model(setup.architecture, setup.source.shape, setup.training.seed)
    if not isinstance(model, nn.Module):
        raise RequestError(f"{who(setup.architecture)}: build gave {described(model)}; wanted: a torch.nn.Module")
    return model


def predict(setup: Setup, model: nn.Module) -> None:
    """A validation sequence through network, views and metrics, as validation and test do."""
    frames = next(iter(setup.source.validation(1, "cpu")))

    def check(module: nn.Module, given: Any, prediction: object) -> None:
        wanted = (len(given[0]), setup.horizon, *given[0].shape[2:])
        check_kind(setup.architecture, "a prediction", prediction, wanted)
        assert isinstance(prediction, Tensor)
        if not prediction.isfinite().all():
            raise RequestError(
                f"{_first_not_finite(setup, model, given)}: a prediction is not finite; wanted: finite frames"
            )

    handle = model.register_forward_hook(check)
    try:
        with calling(setup.experiment, setup.architecture, "a prediction in evaluation mode"):
            evaluate(
                {"model": model},
                [frames],
                measured_on(setup.source.values, setup.experiment.metrics),
                shown=setup.shown,
                horizon=setup.horizon,
                views=setup.experiment.inference.views,
                micro_batches=MicroBatcher(1),
                missing=setup.source.missing,
            )
    finally:
        handle.remove()


def _first_not_finite(setup: Setup, model: nn.Module, given: Any) -> str:
    def bad(output: object) -> bool:
        return isinstance(output, Tensor) and not bool(output.isfinite().all())

    guilty = first_module(model, lambda: model.forward(*given), bad)
    return who(blamed(setup.experiment, guilty) or suspect(setup.architecture))


def owner(setup: Setup, model: nn.Module, name: str) -> str:
    """The component whose module has the parameter of that name, in words."""
    path = name.rpartition(".")[0]
    parts = path.split(".")
    for length in range(len(parts), -1, -1):
        found = blamed(setup.experiment, model.get_submodule(".".join(parts[:length])))
        if found is not None and found is not setup.architecture:
            return who(found)
    return who(suspect(setup.architecture))
