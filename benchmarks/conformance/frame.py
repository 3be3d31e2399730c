"""What the comparisons with OpenSTL share: its classes from a checkout, and the description of a network in both."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests" / "variants"):  # the second for the formula that the tests use too
    sys.path.insert(0, str(folder))


@dataclass(frozen=True, kw_only=True)
class Size:
    """Frames of a comparison, and the settings of the network at them."""

    batch: int
    channels: int
    height: int
    width: int
    input_frames: int
    horizon: int
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network in both programs.

    `predict_theirs` and `predict_ours` take (network, size, frames (B, input_frames + horizon, C, H, W)) and return named
    tensors, the same names both; `predictions` is (B, horizon, C, H, W) in evaluation mode. Frames that are to be predicted
    may be read by what a network returns in training alone. Everything returned goes into the golden file.
    """

    name: str
    theirs: Callable[[Size], nn.Module]
    ours: Callable[[Size], nn.Module]
    translate: Callable[[str], str | None]
    predict_theirs: Callable[[nn.Module, Size, Tensor], dict[str, Tensor]]
    predict_ours: Callable[[nn.Module, Size, Tensor], dict[str, Tensor]]
    moving_mnist: Size
    small: Size
    gain: float = 1.5
    """Scale of the formula's kernels: large enough for what is compared to depend on all of the network."""


def use_checkout(checkout: Path) -> None:
    """Makes `openstl.*` importable file by file from a checkout.

    The packages' own `__init__` files import every network with all that any of them needs; here a class is looked for in
    the package's files when it is asked for, and packages that are not installed are stood in for (see `_StandIns`).
    """
    if not (checkout / "openstl" / "models").is_dir():
        raise SystemExit(f"{checkout} is no checkout of OpenSTL: it has no openstl/models")
    for package in ("openstl", "openstl.models", "openstl.modules", "openstl.modules.layers", "openstl.utils"):
        folder = checkout.joinpath(*package.split("."))
        module = types.ModuleType(package)
        module.__path__ = [str(folder)]
        module.__getattr__ = _look_in(package, folder)  # type: ignore[method-assign]
        sys.modules[package] = module
    sys.meta_path.append(_StandIns())


def _look_in(package: str, folder: Path) -> Callable[[str], Any]:
    def find(name: str) -> Any:
        for file in sorted(folder.glob("*.py")):
            if re.search(rf"^(class|def) {re.escape(name)}\b", file.read_text(), re.MULTILINE):
                return getattr(importlib.import_module(f"{package}.{file.stem}"), name)
        raise AttributeError(f"{package} has no {name}")

    return find


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for packages that files of OpenSTL import and the compared networks hardly use.

    Last on the path, so that what is installed is preferred. Of timm, `trunc_normal_` is torch's (the same function), and
    `DropPath` is what it is in evaluation mode. Whatever else is asked for raises when it is used.
    """

    PACKAGES = ("timm", "einops", "fvcore", "lightning", "cv2", "skimage", "lpips", "hickle", "xarray", "packaging")

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname.split(".")[0] not in self.PACKAGES:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return types.ModuleType(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        def stand_in(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if name == "trunc_normal_":
                return nn.init.trunc_normal_
            if name == "DropPath":
                return _Identity

            def missing(*_: object, **__: object) -> None:
                raise SystemExit(f"OpenSTL uses {module.__name__}.{name}; install the package for this comparison")

            return type(name, (nn.Module,), {"__init__": missing})

        module.__getattr__ = stand_in  # type: ignore[method-assign]


class _Identity(nn.Identity):
    """`DropPath` in evaluation mode; takes its drop rate."""
