"""Formats of the store's files: which ones this version reads, and how it brings old ones up to date.

1 had neither digests nor places in lines and in checkpoints. 2 held an experiment in five sections of plain settings; 3 holds a
tree of named components. Older ones are brought to the newest when they are read, and continued in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.changes import GENERATED, RENAMED
from harness.errors import HarnessError

FORMAT = 3
REDO = "its run's command sets it aside and makes it again"


class DamagedRecord(HarnessError):
    """A file or folder of the store is truncated, changed, or not one of ours. `path`, where it is known, is what to set aside."""

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class NewerFormat(HarnessError):
    """A whole file of the store that a newer version wrote: not damaged, and not for this version to touch."""


@contextmanager
def validated(path: Path) -> Iterator[None]:
    """Wraps the use of a record's fields: a sound file with other fields than ours is named instead of crashing.

    Raises DamagedRecord.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DamagedRecord(f"{path} holds records of another program ({reason})") from error


def check_format(path: Path, found: object) -> int:
    """The format of a file that is whole. Raises NewerFormat or DamagedRecord unless this version reads it."""
    if isinstance(found, int) and found > FORMAT:
        raise NewerFormat(f"{path} has format {found}; this version reads up to {FORMAT}: install a newer one")
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise DamagedRecord(f"{path} has no known format ({found!r}); {REDO}", path)
    return found


def upgraded(path: Path, body: dict[str, Any], found: int) -> dict[str, Any]:
    """A record's body in the newest format. Raises DamagedRecord when it has other fields than its format says."""
    with validated(path):
        for number in range(found, FORMAT):
            if (upgrade := UPGRADES.get(number)) is not None:
                body = upgrade(path.name, body)
    return body


COMPONENTS = {
    "variants.residual.ProjectedSkip": "residual",
    "variants.attention.SpatialAttention": "attention",
    "variants.curriculum.GrowingHorizon": "growing-horizon",
}
"""Names of the components that records of format 2 knew by their classes."""
_FRAMES = ("path", "evaluation", "layout", "input_frames", "horizon", "flip_horizontal", "flip_vertical")
_COUNTS = ("validation_sequences", "test_sequences")


def to_format_3(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """A record of format 2 as one of format 3: the experiment as a tree, settings under their new paths."""
    del name
    body = dict(body)
    if "numerics" in body:
        body["revisions"] = {"training": body.pop("numerics"), "prediction": 1}
    if isinstance(experiment := body.get("experiment"), dict) and "data" in experiment:
        body["experiment"] = experiment_of_format_2(experiment)
    if isinstance(changes := body.get("changes"), list):
        body["changes"] = [RENAMED.get(path, path) for path in changes]
    return {key: _renamed(value) if key != "experiment" else value for key, value in body.items()}


def _renamed(value: Any) -> Any:
    """Settings below a record's field, wherever they are, under their new paths."""
    if isinstance(value, list):
        return [_renamed(one) for one in value]
    if isinstance(value, dict):
        return {
            key: (
                {RENAMED.get(path, path): one for path, one in part.items()}
                if key in ("settings", "fixed") and isinstance(part, dict)
                else _renamed(part)
            )
            for key, part in value.items()
        }
    return value


def experiment_of_format_2(old: dict[str, Any]) -> dict[str, Any]:
    """The five sections of format 2 as a tree of components."""
    data, network, loss, training = (dict(old[name]) for name in ("data", "architecture", "loss", "training"))
    frames = data.pop("frames")
    if frames == GENERATED:
        data = {"name": GENERATED} | data
    else:
        data = {"name": "frames", "path": frames} | {key: data[key] for key in (*_FRAMES, *_COUNTS) if key in data}
    bias = network.pop("forget_bias", 0.0)
    network |= {name: _component(network.get(name)) for name in ("skip", "bottleneck")}
    terms = {
        "mse": {"weight": loss["mse"]},
        "ssim": {"weight": loss["ssim"], "start": loss.get("ssim_from", 0.0), "ramp": loss.get("ssim_ramp", 0.0)},
        "mae": {"weight": loss.get("l1", 0.0)},
    }
    optimizer = {"name": "adamw", "lr": training.pop("max_lr"), "weight_decay": training.pop("weight_decay")}
    schedule = {"name": "one-cycle", "pct_start": training.pop("pct_start")}
    training |= {"optimizer": optimizer, "schedule": schedule, "curriculum": _component(training.get("curriculum"))}
    return {
        "data": data,
        "architecture": {"name": "encoder-forecaster", **network, "cell": {"name": "convlstm", "forget_bias": bias}},
        "loss": {name: term for name, term in terms.items() if term["weight"]},
        "training": training,
        "inference": dict(old["inference"]),
        "metrics": {},
    }


def _component(value: Any) -> Any:
    """A component's record: by its name, or where that is not known by its class, which no registry has."""
    if not isinstance(value, dict) or "type" not in value:
        return value
    fields = {key: _component(one) for key, one in value.items() if key != "type"}
    return {"name": COMPONENTS.get(value["type"], value["type"])} | fields


UPGRADES: dict[int, Callable[[str, dict[str, Any]], dict[str, Any]]] = {2: to_format_3}
"""For a format, the function that turns (record's name, its body) into the body of the next format; absent where the bodies of
both are alike, as those of 1 and 2 are."""
