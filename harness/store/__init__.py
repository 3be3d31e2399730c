"""Records, checkpoints and identity."""

from harness.store.formats import FORMAT, REDO, DamagedRecord, NewerFormat, validated
from harness.store.identity import Cell, key_of
from harness.store.records import Folder
from harness.store.store import QUARANTINE, Run, Store, Training, store_root

__all__ = [
    "FORMAT",
    "QUARANTINE",
    "REDO",
    "Cell",
    "DamagedRecord",
    "Folder",
    "NewerFormat",
    "Run",
    "Store",
    "Training",
    "key_of",
    "store_root",
    "validated",
]
