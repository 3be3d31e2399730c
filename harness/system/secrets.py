"""Masks passwords in URLs, and the values of environment variables that are named like secrets.

Secrets are masked where text leaves the process: when it is printed (`harness.system.console`), recorded (`harness.store`) or
written to a study's file. Code that makes an error message need not mask them.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from urllib.parse import unquote

SECRETS = re.compile(
    r"(?i)([?&;][^=&;\s]*(?:password|passwd|pwd|secret|token|passfile|sslkey|api_?key)[^=&;\s]*=)([^&\s'\"]*)"
)
"""A field of a URL's query that holds a secret, and its value."""
_LOGIN = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.-]*:/{1,3}[^\s/:@'\"]*:)(?P<password>[^\s'\"]+)(?P<end>@)")
_VARIABLE = re.compile(r"(?i)token|secret|passw|pgpass|api_?key|access_?key|private_?key|credential")
_SHORTEST = 6
"""Shorter values of variables are not masked: they would be found in every other word."""
MASK = "***"


def parts(url: str) -> tuple[str, str, str]:
    """(what comes before the password, the password, what comes after); lenient, for wrong URLs hold passwords too."""
    login, at, rest = url.rpartition("@")
    if not at:
        return url, "", ""
    scheme, slashes, user = login.partition("://") if "://" in login else ("", "", login)
    user, colon, password = user.partition(":")
    return scheme + slashes + user + colon, password, at + rest


def public_url(url: str) -> str:
    """The URL as it may be shown: without password, and without values of the query that look like secrets."""
    before, password, after = parts(url)
    return SECRETS.sub(rf"\1{MASK}", before + (MASK if password else "") + after)


def without_secrets(text: str, url: str) -> str:
    """A text with the URL and its secrets replaced by what may be shown."""
    secrets = [parts(url)[1], *(found.group(2) for found in SECRETS.finditer(url))]
    shown = text.replace(url, public_url(url))
    for secret in secrets:
        for form in {secret, unquote(secret)} - {""}:
            shown = shown.replace(form, MASK)
    return shown


@cache
def _of_environment() -> re.Pattern[str] | None:
    """The values of variables that are named like secrets (HF_TOKEN, PGPASSWORD), and of a storage's URL, as a pattern."""
    values = [value for name, value in os.environ.items() if _VARIABLE.search(name) and len(value) >= _SHORTEST]
    url = os.environ.get("HARNESS_STORAGE", "")
    values += [one for one in (parts(url)[1], *(found.group(2) for found in SECRETS.finditer(url))) if len(one) >= _SHORTEST]
    forms = {form for value in values for form in (value, unquote(value), json.dumps(value)[1:-1])}
    return re.compile("|".join(sorted(map(re.escape, forms), key=len, reverse=True))) if forms else None


def redact(text: str) -> str:
    """The text without passwords of URLs in it, and without secrets of the environment.

    >>> redact("cannot open postgresql://me:hunter2@host/db?sslpassword=x")
    'cannot open postgresql://me:***@host/db?sslpassword=***'
    """
    if ":/" in text:  # one slash, too: a URL that was taken for a path has lost the other
        text = _LOGIN.sub(rf"\g<start>{MASK}\g<end>", text)
    if "=" in text:
        text = SECRETS.sub(rf"\1{MASK}", text)
    known = _of_environment()
    return text if known is None else known.sub(MASK, text)
