"""Which device to use, and what to do there; answers without importing torch where it can."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import RequestError

if TYPE_CHECKING:
    import torch

CPUINFO = Path("/proc/cpuinfo")


def cuda_visible() -> bool:
    """Whether torch can be expected to see an NVIDIA GPU. Asks the driver, for importing torch takes seconds."""
    if metadata.version("torch").endswith("+cpu"):
        return False
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def choose_device(asked: str) -> str:
    """'cpu', 'cuda' or 'cuda:N' for what was asked ('auto' among it).

    Raises RequestError when CUDA is asked for and absent, or the name is unknown.
    """
    kind, colon, index = asked.partition(":")
    if asked == "auto":
        return "cuda" if cuda_visible() else "cpu"
    if asked != "cpu" and (kind != "cuda" or (colon and not (index.isascii() and index.isdigit()))):
        raise RequestError(f"unknown device {asked!r}; choose auto, cpu, cuda or cuda:N")
    if kind == "cuda":
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count <= int(index or 0):
            raise RequestError(
                f"device {asked!r} was asked for, but torch {torch.__version__} sees {count or 'no'} CUDA device"
                f"{'s' if count > 1 else ''}; use --device cpu, or install a CUDA build of torch and check nvidia-smi"
            )
    return asked


def keep_freed_memory() -> None:
    """Makes glibc keep what the process frees, where it is glibc; the process then stays at its peak until it ends.

    By default each block of some MiB goes back to the kernel when it is freed and is cleared, page by page, when it is asked
    for again, at every step: 5 to 10% of a step's time at preset `cpu`.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    trim_threshold, mmap_threshold = -1, -3  # as malloc.h numbers them
    for parameter in (trim_threshold, mmap_threshold):
        mallopt(parameter, 2**30)


def _processor_has_bfloat16() -> bool:
    """Whether the processor has instructions for products of bfloat16, by what Linux says of it; False where nothing does."""
    try:
        flags = CPUINFO.read_text().split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def resolve_precision(precision: str, device: str) -> str:
    """'float32', 'bfloat16' or 'float16' for what was asked; 'auto' is the best 16-bit type that the device has instructions for.

    Raises RequestError for what a device lacks.
    """
    if precision == "auto":
        if not device.startswith("cuda"):
            precision = "bfloat16" if _processor_has_bfloat16() else "float32"
        else:
            import torch

            if not torch.cuda.is_available():  # cells go to a cluster's GPUs
                raise RequestError(
                    "training.precision is auto, and here is no GPU to ask; say what the cluster's GPUs compute in: "
                    "--set training.precision=bfloat16 (float16 before Ampere, float32)"
                )
            precision = "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    if precision == "float16" and not device.startswith("cuda"):
        raise RequestError("training.precision float16 needs CUDA; use float32 or bfloat16 on the CPU")
    return precision


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which the network runs: autocast to a 16-bit type, or nothing for float32."""
    import torch

    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the GPU or here."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("can't allocate memory", "not enough memory")  # the CPU allocator's; it has no class of its own
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
