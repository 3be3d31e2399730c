"""Plugins: named values that installed packages (entry points) and single files provide, loaded when they are asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.component import Component
from harness.errors import RequestError, unknown

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
            for plugin in self._load_file(path):
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
                if not self.accepts(value):
                    error = f"{point.value} is a {type(value).__name__}, not a {self.kind.__name__}"
                elif (own := self.name_of(value, name)) != name:
                    error = f"{point.value} calls itself {own!r}; entry point and name must agree"
                else:
                    self.check(value)
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

    def module(self, name: str) -> str:
        """The module that provides a plugin."""
        if name in self._from_files:
            return f"harness_plugin_{Path(self._from_files[name].origin).stem}"
        return self._entry_points[name].module

    def accepts(self, value: object) -> bool:
        """Whether it is what a plugin of this group must be."""
        return isinstance(value, self.kind)

    def name_of(self, value: Any, name: str) -> str:
        """What a value calls itself; `name` when it says nothing."""
        return str(getattr(value, "name", name))

    def check(self, value: Any) -> None:
        """Raises RequestError when a value cannot be used."""

    def needs(self, module: ModuleType) -> bool:
        """Whether a plugin file without such a value is an error."""
        return True

    def from_module(self, module: ModuleType) -> list[Any]:
        """The values that a plugin file provides."""
        values = [value for key, value in vars(module).items() if self.accepts(value) and not key.startswith("_")]
        lists = [value for key, value in vars(module).items() if isinstance(value, list | tuple) and not key.startswith("_")]
        values += [value for one in lists for value in one if self.accepts(value)]
        return list({id(value): value for value in values}.values())

    def _load_file(self, path: Path) -> list[Plugin]:
        module = _run_file(path)
        if isinstance(module, str):
            return [Plugin(path.stem, str(path), error=module)]
        try:
            values = self.from_module(module)
            for value in values:
                self.check(value)
        except RequestError as error:
            return [Plugin(path.stem, str(path), error=_one_line(error))]
        if not values and self.needs(module):
            return [Plugin(path.stem, str(path), error=f"defines no {self.kind.__name__} at module level")]
        return [Plugin(self.name_of(value, path.stem), str(path), value) for value in values]


class Components(Plugins):
    """The component classes by slot and name; an entry point is named `<slot>.<name>`: 'architecture.bottleneck.attention'."""

    def __init__(self, *, files: Iterable[Path] = (), third_party: bool = True) -> None:
        super().__init__("harness.components", Component, files=files, third_party=third_party)
        self._extra: dict[str, type[Component]] = {}
        self.more: Callable[[], Iterable[type[Component]]] = tuple
        """Asked for further classes when a name is not known: those of variants."""

    def accepts(self, value: object) -> bool:
        """Whether it is a component's class."""
        return isinstance(value, type) and issubclass(value, Component) and bool(getattr(value, "name", ""))

    def name_of(self, value: Any, name: str) -> str:
        """Its slot and name."""
        return f"{value.slot}.{value.name}"

    def check(self, value: Any) -> None:
        """Raises RequestError unless it is a frozen dataclass with a usable name, all of whose fields have defaults."""
        if not _NAME.fullmatch(value.name):
            raise RequestError(f"component name {value.name!r}; use lower-case letters, digits, '-' and '_', at most 64")
        if "__dataclass_params__" not in vars(value):
            raise RequestError(f"{value.__name__} is not frozen; use @dataclass(frozen=True, kw_only=True)")

    def needs(self, module: ModuleType) -> bool:
        """A file need not have components."""
        return False

    def from_module(self, module: ModuleType) -> list[Any]:
        """The components that a plugin file defines itself."""
        return [value for value in vars(module).values() if self.accepts(value) and value.__module__ == module.__name__]

    def add(self, kinds: Iterable[type[Component]]) -> None:
        """Makes classes known that no entry point names, such as those inside a variant's changes."""
        self._extra |= {f"{kind.slot}.{kind.name}": kind for kind in kinds}

    def find(self, slot: str, name: str) -> type[Component]:
        """The class of that name for a slot. Raises RequestError, with what exists, for an unknown one."""
        key = f"{slot}.{name}"
        if key in self.names:
            kind: type[Component] = self.get(key)
            return kind
        if key not in self._extra:
            self.add(self.more())
        if key not in self._extra:
            error = unknown("component", name, self.of(slot), label=f"for {slot}")
            raise RequestError("; ".join([str(error), *self._broken_files.values()]))
        return self._extra[key]

    def of(self, slot: str) -> list[str]:
        """The names of a slot's components."""
        keys = {*self.names, *self._extra}
        return sorted(key.removeprefix(f"{slot}.") for key in keys if key.rpartition(".")[0] == slot)

    def settings(self) -> list[str]:
        """The paths of all fields of all components that load."""
        return [
            f"{value.slot}.{value.name}.{f.name}" if value.shorthand else f"{value.slot}.{f.name}"
            for value in self.classes()
            for f in dataclasses.fields(value)
        ]

    def classes(self) -> list[type[Component]]:
        """All classes that load."""
        return [plugin.value for plugin in self if plugin.error is None] + list(self._extra.values())


@cache
def components() -> Components:
    """The installed components."""
    return Components()


_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def source_digest(module_name: str) -> str | None:
    """SHA-256 of a module's source, of a package's modules all; None where there is no file, as in a notebook."""
    module = sys.modules.get(module_name)
    file = Path(getattr(module, "__file__", None) or "")
    if not file.is_file():
        return None
    paths = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    return hashlib.sha256(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in paths)).hexdigest()


def _entry_points(group: str) -> Iterable[metadata.EntryPoint]:
    """The installed entry points of a group. A distribution whose own files cannot be read has none.

    All distributions are asked, which takes longer than a cell's other preparations: once, until a folder of packages changes.
    """
    return _scan(group, tuple((path, os.stat(path).st_mtime_ns) for path in sys.path if os.path.isdir(path)))


@lru_cache(maxsize=16)
def _scan(group: str, folders: tuple[tuple[str, int], ...]) -> Iterable[metadata.EntryPoint]:
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


_modules: dict[tuple[str, int, int], ModuleType | str] = {}
"""Plugin files that were run, by path, time and size: the variants and the components of a file are those of one module."""


def _run_file(path: Path) -> ModuleType | str:
    """The module of a plugin file, or the error that running it gave. Raises RequestError when it cannot be a Python file."""
    if not path.is_file():
        raise RequestError(f"plugin file {path} {'is not a file' if path.exists() else 'does not exist'}")
    stat = path.stat()
    key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    if key not in _modules:
        name = f"harness_plugin_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise RequestError(f"plugin file {path} is not a Python file (.py)")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and torch look their module up
        try:
            with redirect_stdout(sys.stderr):
                spec.loader.exec_module(module)
            _modules[key] = module
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # another author's code: one clear line instead of its traceback
            sys.modules.pop(name, None)
            _modules[key] = _one_line(error)
    return _modules[key]
