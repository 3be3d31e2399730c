"""Which device is used, what it computes in, and what running out of memory looks like there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.errors import RequestError
from harness.system import devices


def test_a_device_is_chosen_or_refused_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_visible", lambda: False)
    assert devices.choose_device("auto") == devices.choose_device("cpu") == "cpu"
    monkeypatch.setattr(devices, "cuda_visible", lambda: True)
    assert devices.choose_device("auto") == "cuda"
    for name in ("gpu", "cuda:", "cuda:x", "cuda:²", ""):
        with pytest.raises(RequestError, match="choose auto, cpu, cuda or cuda:N"):
            devices.choose_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices.choose_device("cuda:0") == "cuda:0"
    with pytest.raises(RequestError, match="sees 1 CUDA device;"):
        devices.choose_device("cuda:1")


def test_precision_follows_from_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(devices, "CPUINFO", cpuinfo)
    assert devices.resolve_precision("auto", "cpu") == "float32"  # another system than Linux
    for flags, expected in (
        ("avx2 avx512f", "float32"),
        ("avx512_bf16_not", "float32"),
        ("avx512f avx512_bf16 clwb", "bfloat16"),
        ("amx_tile amx_bf16", "bfloat16"),
    ):
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\n")
        assert devices.resolve_precision("auto", "cpu") == expected
        assert devices.resolve_precision("float32", "cpu") == "float32"


def test_precision_follows_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.resolve_precision("bfloat16", "cpu") == "bfloat16"
    with pytest.raises(RequestError, match="float16 needs CUDA"):
        devices.resolve_precision("float16", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RequestError, match="here is no GPU to ask"):
        devices.resolve_precision("auto", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, expected in (((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        assert devices.resolve_precision("auto", "cuda") == expected


def test_autocast_is_off_for_float32_and_casts_for_bfloat16() -> None:
    left, right = torch.ones(2, 2), torch.ones(2, 2)
    for precision in ("float32", "bfloat16"):
        with devices.autocast(precision, torch.device("cpu")):
            assert (left @ right).dtype == getattr(torch, precision)


def test_lack_of_memory_is_told_from_other_errors() -> None:
    for error in (torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        assert devices.out_of_memory(error)
    for error in (RuntimeError("shapes differ"), ValueError("not enough memory")):
        assert not devices.out_of_memory(error)
