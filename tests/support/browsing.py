"""Pages in a real browser: how it is started, and how tests wait for a page."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from playwright.sync_api import Error
from playwright.sync_api import Page as Tab

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 375, "height": 800}
Open = Callable[..., Tab]


def until(page: Tab, condition: str, seconds: float = 30) -> None:
    """Waits for a condition; the page's policy forbids Playwright's own way, which evaluates texts in the page."""
    for _ in range(int(20 * seconds)):
        with suppress(Error):  # the page is just being loaded again
            if page.evaluate(condition):
                return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {condition}")
