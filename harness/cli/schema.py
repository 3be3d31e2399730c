"""`harness schema`: the JSON Schema of what a command prints with --json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import JsonOption, expand_options
from harness.errors import unknown
from harness.system.console import emit, print_table

FOLDER = Path(__file__).with_name("schemas")


@dataclass(frozen=True)
class Schema:
    """A document that the command line prints, described by schemas/NAME.json beside this file."""

    name: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """The schema."""
        schema: dict[str, Any] = json.loads((FOLDER / f"{self.name}.json").read_text())
        return schema

    @property
    def command(self) -> str:
        """The command that prints it."""
        return str(self.document["title"])

    @property
    def summary(self) -> str:
        """What it holds."""
        return str(self.document["description"])


SCHEMAS = [Schema(path.stem) for path in sorted(FOLDER.glob("*.json"))]


@expand_options
def schema(
    *,
    name: Annotated[str | None, typer.Argument(help="A document, as this command lists them without a name.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the JSON Schema of what a command prints with --json; without a name, list the schemas."""
    found = {one.name: one for one in SCHEMAS}
    if name is not None:
        if name not in found:
            raise unknown("schema", name, found, label="schemas")
        emit(found[name].document)
    elif as_json:
        emit({"schemas": [{"name": one.name, "command": one.command, "summary": one.summary} for one in SCHEMAS]})
    else:
        print_table(["schema", "command", "what it holds"], [[one.name, one.command, one.summary] for one in SCHEMAS])
