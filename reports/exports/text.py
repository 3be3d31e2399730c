"""Texts for documents. Every text of a page is untrusted: each format escapes it, after it was cleaned here."""

from __future__ import annotations

import re

from harness.system.secrets import redact

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Without secrets, and without the characters that no document may hold: controls, halves of surrogate pairs."""
    return _CONTROL.sub("\ufffd", redact(text))


def one_line(text: str) -> str:
    """A clean text on one line."""
    return " ".join(clean(text).split())
