"""Where a training starts: weights of a file, translated where they have other names, and parameters that are not trained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.component import EVALUATION, Component, setting
from harness.errors import RequestError
from harness.system.weights import read_weights

if TYPE_CHECKING:
    from torch import nn

    from harness.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class WeightsStart(Component):
    """Weights of a file, which a subclass's field `path` names.

    A parameter that the file lacks, or has in another shape, keeps its initial weights; what did not match is listed.
    """

    slot: ClassVar[str] = "training.start"

    @abstractmethod
    def file(self) -> Path:
        """The file. Raises RequestError when none is named."""

    def names(self, architecture: Component) -> Callable[[str], str | None]:
        """A function from the file's names to the network's; None for what is left out."""
        del architecture
        return lambda name: name.removeprefix("model.")

    def load(self, model: nn.Module, architecture: Component) -> str:
        """Puts the file's weights into the model; returns one line about what matched.

        Raises RequestError when the file cannot be read or nothing of it matches.
        """
        path, translate = self.file(), self.names(architecture)
        given = {new: tensor for name, tensor in read_weights(path).items() if (new := translate(name)) is not None}
        own = model.state_dict()
        fits = {name: tensor for name, tensor in given.items() if name in own and own[name].shape == tensor.shape}
        if not fits:
            raise RequestError(
                f"no weight of {path} fits the network; the file has {_some(given)}, the network {_some(own)}"
            )
        model.load_state_dict(fits, strict=False)
        others = {
            "not in the file": own.keys() - given.keys(),
            "of another shape": {name for name in given if name in own} - fits.keys(),
            "not in the network": given.keys() - own.keys(),
        }
        said = "".join(f"; {what}: {_some(names)}" for what, names in others.items() if names)
        return f"{len(fits)} of {len(own)} weights come from {path}{said}"


@dataclass(frozen=True, kw_only=True)
class FileStart(WeightsStart):
    """Weights of a safetensors file, or of a state dict that torch saved (read with weights_only)."""

    name: ClassVar[str] = "file"
    path: Path | None = setting(None, "a .safetensors, .pt or .pth file")

    def file(self) -> Path:
        """The file. Raises RequestError when none is named."""
        if self.path is None:
            raise RequestError(f"training.start.path is empty; name a file: --set training.start={self.name}:FILE")
        return self.path


@dataclass(frozen=True, kw_only=True)
class RunStart(WeightsStart):
    """Weights of a run of the store: of the checkpoint that it tested. The checkpoint's content is in keys, the run's id is not."""

    name: ClassVar[str] = "run"
    run: str = setting("", "the run's id, or its beginning", decides=EVALUATION)
    path: Path | None = setting(None, "its checkpoint; found in the store by the id")

    def file(self) -> Path:
        """The checkpoint. Raises RequestError when it has not been found yet."""
        if self.path is None:
            raise RequestError("training.start.run is empty; name a run of the store: --set training.start=run:ID")
        return self.path


@dataclass(frozen=True, kw_only=True)
class OpenSTLStart(FileStart):
    """Weights of an OpenSTL checkpoint, for a network that it has too: the network's component translates the names."""

    name: ClassVar[str] = "openstl"

    def names(self, architecture: Component) -> Callable[[str], str | None]:
        """The network's own translation. Raises RequestError for a network that has none."""
        translate: Callable[[str], str | None] | None = getattr(architecture, "openstl_name", None)
        if translate is None:
            raise RequestError(
                f"architecture {architecture.name} does not know OpenSTL's names; use training.start=file:FILE"
            )
        return lambda name: translate(name.removeprefix("model."))


@dataclass(frozen=True, kw_only=True)
class ExtensionStart(WeightsStart):
    """All that a finished training ended with: weights, optimizer, average, the place in the data, the best checkpoint so far.

    The rule: what follows is the longer training from there on. Step s of N takes the sequences, the learning rate, the curriculum
    and the loss weights of step s in a training of N steps. With a schedule that is constant in both it ends as the longer training
    does; where the parent's rate had fallen it rises again to the longer one's. `harness run --extend` makes it.
    """

    name: ClassVar[str] = "extension"
    run: str = setting("", "the parent's run id, or its beginning", decides=EVALUATION)
    parent: str = setting("", "the key of the parent's training; found in the store by the id")
    step: int = setting(0, "the step that the parent ended at; found as well", at_least=0, decides=EVALUATION)
    path: Path | None = setting(None, "the parent's last state; found as well", decides=EVALUATION)

    def file(self) -> Path:
        """The parent's last state. Raises RequestError when it has not been found yet."""
        if self.path is None:
            raise RequestError(
                "training.start names no parent; continue a finished run: harness run ... --extend steps=5000"
            )
        return self.path

    def names(self, architecture: Component) -> Callable[[str], str | None]:
        """The network's weights; the rest of the state is taken over by `harness.training.extension`."""
        del architecture
        return lambda name: name.removeprefix("model.") if name.startswith("model.") else None

    def load(self, model: nn.Module, architecture: Component) -> str:
        """As of any file of weights; says which run is continued."""
        super().load(model, architecture)
        return f"continues run {self.run} (training {self.parent}) from step {self.step}"


def start_from(experiment: Experiment, model: nn.Module, note: Callable[[str], None]) -> None:
    """Puts the initial weights into the model and freezes what is not trained.

    Raises RequestError when a pattern of training.freeze matches no parameter, or nothing is left to train.
    """
    training = experiment.training
    if training.start is not None:
        note(training.start.load(model, experiment.architecture))
    names = [name for name, _ in model.named_parameters()]
    for pattern in training.freeze:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise RequestError(f"training.freeze {pattern!r} matches no parameter; there are {_some(names)}")
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in training.freeze):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise RequestError("training.freeze leaves nothing to train")


def _some(names: Any) -> str:
    found = sorted(names)
    return f"{', '.join(found[:5])}{f' and {len(found) - 5} more' if len(found) > 5 else ''}"
