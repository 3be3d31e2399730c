"""Checkpoints: safetensors files with a digest of all their content, and the training that they belong to, in the header."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

from harness.errors import HarnessError
from harness.experiment import canonical_json
from harness.store import formats
from harness.store.formats import REDO, DamagedRecord
from harness.store.records import Folder, size_of
from harness.system import files

LAST = "last.safetensors"
MAX_TABLE_BYTES = 8 * 2**20
"""Of a checkpoint's header: room for 50,000 tensors."""


class CheckpointFolder(Folder):
    """A folder of records and checkpoints."""

    def write_checkpoint(self, name: str, content: bytes, header: Mapping[str, str]) -> None:
        """Writes a serialised safetensors file with these texts in its header, its training's key, and a digest of all of it."""
        size = int.from_bytes(content[:8], "little")
        table, data = json.loads(content[8 : 8 + size]), memoryview(content)[8 + size :]
        table["__metadata__"] = {**header, "training": self.key, "format": str(formats.FORMAT)}
        table["__metadata__"]["sha256"] = _digest(table, [data])
        text = canonical_json(table).encode()
        text += b" " * (-len(text) % 8)
        self.write_bytes(name, len(text).to_bytes(8, "little"), text, data)

    def check_checkpoint(self, name: str) -> dict[str, str]:
        """The header's texts of a checkpoint that is whole and belongs to the folder's training.

        One of format 1 has no digest: its header is believed. Raises DamagedRecord or NewerFormat.
        """
        path = self.path / name
        try:
            with self.present(name) as file:
                there = size_of(file)
                size = int.from_bytes(file.read(8), "little")
                if size > MAX_TABLE_BYTES:
                    raise DamagedRecord(f"{path} is not a checkpoint of this store; {REDO}", path)
                table = json.loads(file.read(size))
                header = table["__metadata__"]
                tensors = [entry for key, entry in table.items() if key != "__metadata__"]
                # Before any of it is read: a file that is not as long as its header says may be of any length.
                claimed = 8 + size + max((entry["data_offsets"][1] for entry in tensors), default=0)
                if there != claimed:
                    raise DamagedRecord(f"{path} has {there:,} bytes, not as many as its header says; {REDO}", path)
                digest, written = header.pop("sha256", None), header.get("format")
                whole = digest == _digest(table, files.pieces(file))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise DamagedRecord(f"{path} is not a checkpoint of this store; {REDO}", path) from None
        if digest is not None or written is not None:
            if not whole:
                raise DamagedRecord(f"{path} was changed after it was written; {REDO}", path)
            formats.check_format(path, int(written) if str(written).isdecimal() else written)
        if header.get("training", self.key if "state" not in header else None) != self.key:
            raise DamagedRecord(
                f"{path} belongs to the training {header.get('training', 'of something else')}; {REDO}", path
            )
        return dict(header)

    def saved_step(self) -> int:
        """The step of the training's last saved state, by its file's header alone; 0 where there is none that can be read."""
        with suppress(HarnessError, ValueError, LookupError, TypeError, RecursionError), self.present(LAST) as file:
            if (size := int.from_bytes(file.read(8), "little")) <= MAX_TABLE_BYTES:
                return int(json.loads(json.loads(file.read(size))["__metadata__"]["state"])["step"])
        return 0


def _digest(table: Mapping[str, Any], data: Iterable[bytes | memoryview]) -> str:
    """SHA-256 of a safetensors file's table, its own digest left out, and its data, given in pieces."""
    return files.digest(chain([canonical_json(table).encode()], data))
