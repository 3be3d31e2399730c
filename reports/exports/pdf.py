"""A page as PDF, printed by a browser that is there or by WeasyPrint."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from harness.errors import HarnessError, RequestError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
SECONDS = 120
"""How long a browser may take."""
_FLAGS = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-pdf-header-footer",
)  # fmt: skip


def printer() -> str | None:
    """What can print: a browser's path, 'weasyprint' (the extra 'pdf'), or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None) or ("weasyprint" if find_spec("weasyprint") else None)


def to_pdf(html: str) -> bytes:
    """The document as PDF, as its rules for print say.

    Raises RequestError where nothing can print, HarnessError where printing failed.
    """
    found = printer()
    if found is None:
        raise RequestError(
            f"nothing can print the page: install Chromium (looked for {', '.join(BROWSERS)}), or WeasyPrint: "
            "pip install 'ablation-harness[pdf]'"
        )
    if found == "weasyprint":
        from weasyprint import HTML

        return bytes(HTML(string=html).write_pdf())
    with tempfile.TemporaryDirectory(prefix="harness-pdf-") as name:
        folder = Path(name)
        page, out = folder / "page.html", folder / "page.pdf"
        page.write_text(html, encoding="utf-8")
        sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root cannot have one
        words = [found, *_FLAGS, *sandbox, f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={out}", page.as_uri()]
        try:
            done = subprocess.run(words, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HarnessError(f"{found} did not print the page: {error}") from error
        if not out.is_file():
            said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
            raise HarnessError(f"{found} did not print the page (exit code {done.returncode}): {said}")
        return out.read_bytes()
