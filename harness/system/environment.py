"""Where a run is made: versions, device, and the state of the code, without host, user, variables or paths."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.version import __version__

PACKAGES = ("torch", "numpy", "pytorch-msssim", "safetensors", "mlxtend")


def describe_device(device: str) -> str:
    """The device in words: 'NVIDIA H100 80GB HBM3', or the processor's name and the threads used."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{_processor()} ({torch.get_num_threads()} threads)"


def environment(device: str) -> dict[str, Any]:
    """Plain values for environment.json."""
    import torch

    return {
        "harness": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "cuda": torch.version.cuda,
        "device": device,
        "device_name": describe_device(device),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "git": git_state(),
    }


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this code runs from, and whether it has changes; None for an installed copy."""
    house = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(house), *words], capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != house:
            return None  # some other project's repository around an installed copy
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
