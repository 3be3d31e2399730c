"""W&B finds again what was written: curves with steps, final figures, and the way to the record."""

from __future__ import annotations

import json
import struct
import time
from typing import Any

import pytest


def wandb_records(data: bytes) -> list[Any]:
    """The records of an offline run: a header of 7 bytes, then LevelDB's log format, whose entries are protobuf messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    records, entry, at, block = [], b"", 7, 32768
    while at + 7 <= len(data):
        if block - at % block < 7:  # too little for a header
            at += block - at % block
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        entry += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole entry, or the last part of one
            records.append(Record.FromString(entry))
            entry = b""
    return records


@pytest.mark.parametrize("tracked", ["wandb"], indirect=True)
@pytest.mark.filterwarnings("default")
def test_wandb(tracked: Any) -> None:
    root, result, curve = tracked
    (file,) = root.glob(f"trackers/wandb/offline-run-*-{result['run_id']}/*.wandb")
    ends = time.monotonic() + 60  # a process of W&B's own writes the file
    records = wandb_records(file.read_bytes())
    while "exit" not in [one.WhichOneof("record_type") for one in records]:
        assert time.monotonic() < ends, "the file is not whole"
        time.sleep(0.1)
        records = wandb_records(file.read_bytes())
    (run,) = [one.run for one in records if one.WhichOneof("record_type") == "run"][:1]
    assert (run.run_id, run.run_group, run.display_name) == (result["run_id"], "attention", "attention seed 0")
    assert result["run_id"] in run.tags
    rows = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in one.history.item}
        for one in records
        if one.WhichOneof("record_type") == "history"
    ]
    assert {row["step"]: row["validation/ssim"] for row in rows if "validation/ssim" in row} == pytest.approx(curve)
