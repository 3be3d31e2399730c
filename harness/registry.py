"""Plugins: named values that installed packages (entry points) and single files provide, loaded when they are asked for."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.errors import RequestError, unknown
from harness.variant import Composition, Variant, compose

DISTRIBUTION = "ablation-harness"


@dataclass(frozen=True)
class Plugin:
    """One plugin: where it comes from, and its value or the error that loading it gave."""

    name: str
    origin: str
    value: Any = None
    error: str | None = None


class Plugins:
    """The plugins of one entry-point group. A plugin that fails to load is kept with its error and stops nothing else.

    Args:
        group: entry-point group, such as 'harness.variants'.
        kind: the type that a plugin's value must have.
        files: Python files whose module-level values of that type are plugins too (the user asked for their code to run).
        third_party: False leaves out what other distributions provide.
    """

    def __init__(self, group: str, kind: type, *, files: Iterable[Path] = (), third_party: bool = True) -> None:
        self.group, self.kind, self.third_party = group, kind, third_party
        self.files = tuple({path.resolve(): path for path in files}.values())
        self._loaded: dict[str, Plugin] = {}

    @property
    def noun(self) -> str:
        """What one plugin is called in messages: 'variant' for the group 'harness.variants'."""
        noun = self.group.rsplit(".", 1)[-1]
        return noun[:-3] + "y" if noun.endswith("ies") else noun.removesuffix("s")

    @cached_property
    def _entry_points(self) -> dict[str, metadata.EntryPoint]:
        found: dict[str, metadata.EntryPoint] = {}
        for point in _entry_points(self.group):
            if not self.third_party and _distribution(point) != DISTRIBUTION:
                continue
            if (other := found.get(point.name)) is not None and other.value != point.value:
                raise RequestError(
                    f"{self.noun} {point.name!r} is provided by {_origin(other)} and by {_origin(point)}; uninstall one"
                )
            found[point.name] = point
        return found

    @cached_property
    def _from_files(self) -> dict[str, Plugin]:
        found: dict[str, Plugin] = {}
        for path in self.files:
            for plugin in _load_file(path, self.kind):
                if plugin.error is not None:
                    found[str(path)] = plugin  # a path is no plugin's name, so this one hides no other
                    continue
                if plugin.name in self._entry_points or plugin.name in found:
                    other = found.get(plugin.name) or self._load(plugin.name)
                    if other.value is plugin.value:
                        continue  # the file imported it, to build on it
                    raise RequestError(
                        f"{self.noun} {plugin.name!r} of {path} exists already, from {other.origin}; rename it"
                    )
                found[plugin.name] = plugin
        return found

    @property
    def _broken_files(self) -> dict[str, str]:
        return {
            name: f"plugin file {plugin.origin} failed to load: {plugin.error}"
            for name, plugin in self._from_files.items()
            if plugin.error is not None
        }

    @property
    def names(self) -> list[str]:
        """All names, of plugins that fail to load too."""
        return sorted([*self._entry_points, *self._from_files])

    def plugin(self, name: str) -> Plugin:
        """The plugin of that name, loaded. Raises RequestError, with the closest name, when there is none."""
        if name in self._from_files:
            return self._from_files[name]
        if name not in self._entry_points:
            error = unknown(self.noun, name, [one for one in self.names if one not in self._broken_files], label="installed")
            raise RequestError("; ".join([str(error), *self._broken_files.values()]))
        return self._load(name)

    def _load(self, name: str) -> Plugin:
        if name not in self._loaded:
            point = self._entry_points[name]
            value, error = None, None
            try:
                with redirect_stdout(sys.stderr):  # what a plugin prints must not stand between the lines of a document
                    value = point.load()
                if not isinstance(value, self.kind):
                    error = f"{point.value} is a {type(value).__name__}, not a {self.kind.__name__}"
                elif (own := getattr(value, "name", name)) != name:
                    error = f"{point.value} calls itself {own!r}; entry point and name must agree"
                elif isinstance(value, Variant):
                    value.check()
            except KeyboardInterrupt:  # the user's own
                raise
            except BaseException as caught:  # another author's code: whatever it raises must stop nothing else
                error = _one_line(caught)
            self._loaded[name] = Plugin(name, _origin(point), None if error else value, error)
        return self._loaded[name]

    def get(self, name: str) -> Any:
        """The value of the plugin of that name. Raises RequestError when it does not exist or failed to load."""
        plugin = self.plugin(name)
        if plugin.error is not None:
            raise RequestError(f"{self.noun} {name!r} of {plugin.origin} failed to load: {plugin.error}")
        return plugin.value

    def __iter__(self) -> Iterator[Plugin]:
        return iter([self.plugin(name) for name in self.names])


class Variants(Plugins):
    """The installed variants."""

    def __init__(self, *, files: Iterable[Path] = (), third_party: bool = True) -> None:
        super().__init__("harness.variants", Variant, files=files, third_party=third_party)

    def compose(self, text: str) -> Composition:
        """The composition that 'residual+attention' names, in any order."""
        names = [name.strip() for name in text.split("+")]
        if not all(names):
            raise RequestError(f"variant {text!r}; name variants joined by '+', such as residual+attention")
        return compose(self.get(name) for name in names)

    @property
    def components(self) -> list[type]:
        """The component types of all variants that load."""
        return [kind for plugin in self if plugin.error is None for kind in plugin.value.components]


def _entry_points(group: str) -> Iterable[metadata.EntryPoint]:
    """The installed entry points of a group. A distribution whose own files cannot be read has none."""
    try:
        return metadata.entry_points(group=group)
    except Exception:  # one broken distribution spoils them all: ask one by one
        found: dict[str, list[metadata.EntryPoint]] = {}
        for distribution in metadata.distributions():  # the first of a name is the one that is imported
            with suppress(Exception):
                points = [point for point in distribution.entry_points if point.group == group]
                found.setdefault(distribution.name, points)
        return [point for points in found.values() for point in points]


def _distribution(point: metadata.EntryPoint) -> str:
    with suppress(Exception):  # its METADATA may be no text
        if point.dist is not None:
            return str(point.dist.name)
    return "?"


def _origin(point: metadata.EntryPoint) -> str:
    with suppress(Exception):
        if point.dist is not None:
            return f"{point.dist.name} {point.dist.version}"
    return point.value


def _one_line(error: BaseException) -> str:
    kind = "" if isinstance(error, RequestError) else f"{type(error).__name__}: "
    try:
        text = f"{kind}{error}"
    except Exception:  # another author's __str__ may raise too
        text = f"{kind}an error that cannot say what it is"
    return " ".join(text[:1000].split())


def _load_file(path: Path, kind: type) -> list[Plugin]:
    if not path.is_file():
        raise RequestError(f"plugin file {path} {'is not a file' if path.exists() else 'does not exist'}")
    name = f"harness_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"plugin file {path} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and torch look their module up
    try:
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
        values: list[Any] = [
            value for key, value in vars(module).items() if isinstance(value, kind) and not key.startswith("_")
        ]
        for value in values:
            if isinstance(value, Variant):
                value.check()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # another author's code: one clear line instead of its traceback
        sys.modules.pop(name, None)
        return [Plugin(path.stem, str(path), error=_one_line(error))]
    if not values:
        return [Plugin(path.stem, str(path), error=f"defines no {kind.__name__} at module level")]
    return [Plugin(value.name, str(path), value) for value in {id(value): value for value in values}.values()]
