"""`harness doctor`: is everything here that a run needs?"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

FAULTS = ("damaged", "left over")


def examine(store: Path, digits: Path | None, *, third_party: bool = True) -> list[dict[str, Any]]:
    """Checks, each with name, ok and a finding in words."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", platform.python_version),
        ("torch", _torch),
        ("digits", lambda: _digits(digits)),
        ("variants", lambda: _variants(third_party)),
        ("store", lambda: _store(store)),
        ("records", lambda: _records(store)),
    ]
    rows = []
    for name, check in checks:
        try:
            rows.append({"name": name, "ok": True, "finding": check()})
        except (HarnessError, OSError, ImportError) as error:
            rows.append({"name": name, "ok": False, "finding": str(error)})
    return rows


def _torch() -> str:
    import torch

    if not torch.cuda.is_available():
        return f"{torch.__version__}, {torch.get_num_threads()} CPU threads, no CUDA device (preset cpu is the default)"
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{torch.__version__}, CUDA {torch.version.cuda}: {', '.join(names)}"


def _digits(folder: Path | None) -> str:
    from harness.data.digits import load_digits

    digits = load_digits(folder)
    counts = f"{len(digits.train):,} train, {len(digits.validation):,} validation, {len(digits.test):,} test"
    return f"{digits.source}, {counts}, digest {digits.digest[:12]}"


def _variants(third_party: bool) -> str:
    from harness.variant import Variants

    plugins = list(Variants(third_party=third_party))
    broken = [f"{plugin.name} of {plugin.origin}: {plugin.error}" for plugin in plugins if plugin.error is not None]
    if broken:
        raise HarnessError(f"{len(broken)} of {len(plugins)} fail to load: {'; '.join(broken)}")
    return ", ".join(plugin.name for plugin in plugins)


def _store(root: Path) -> str:
    from harness.store import Store

    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=root, prefix=".doctor.") as file:
            file.write(b"harness")
            file.flush()
    except OSError as error:
        raise HarnessError(f"{root} cannot be written: {error.strerror or error}; choose another with --store") from None
    free = Store(root).free_bytes()
    if free < 2**30:
        raise HarnessError(f"{root} has {free / 2**20:.0f} MiB free; a checkpoint at preset paper takes 100 MiB")
    return f"{root}, writable, {free / 2**30:.0f} GiB free"


def _records(root: Path) -> str:
    from harness.maintenance.repair import findings
    from harness.store import Store

    store = Store(root)
    found = list(findings(store))
    lines = [f"{one.path.relative_to(root)} {one.kind}: {one.reason}" for one in found]
    if any(one.kind in FAULTS for one in found):
        raise HarnessError("; ".join(lines) + " (`harness doctor --repair` repairs what can be repaired, and loses nothing)")
    return "; ".join([f"{sum(1 for _ in store.runs())} runs, nothing damaged or left over", *lines])
