"""A page as one self-contained HTML document."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from reports.exports.csv import to_csv
from reports.exports.latex import to_latex
from reports.exports.text import clean, one_line
from reports.page import EXTENSIONS, Figure, Page, Picture, check_page
from reports.pages.forest import axis

MAX_PAGE_BYTES = 5_000_000
"""Size of index.html above which its largest images are left out, each with a link to its file in their place."""

MAX_SVG_BYTES = 500_000
"""Size above which a plot is embedded as PNG: a browser draws it faster."""

LONG_TEXT = 300
"""Length above which a table's cell shows the beginning of its text and opens on demand, characters."""


def to_html(page: Page) -> str:
    """The page as one HTML document that loads nothing: styles, scripts, plots and pictures are inside it.

    Where it would be larger than `MAX_PAGE_BYTES`, its largest images are replaced by links to the files that `write` makes.
    """
    check_page(page)
    images = {
        **{f"figures/{figure.id}": _figure_image(figure) for figure in page.figures},
        **{f"pictures/{picture.id}": _picture_image(picture) for picture in page.pictures},
    }
    document = _render(page, images)
    while len(document.encode()) > MAX_PAGE_BYTES and any(image.uri for image in images.values()):
        largest = max(images, key=lambda key: images[key].size)
        images[largest] = _Image(images[largest].path)
        document = _render(page, images)
    return document


@dataclass(frozen=True)
class _Image:
    """What the template needs to show an image; without `uri` it says where the file is."""

    path: str
    uri: str = ""
    still: str = ""
    """The first frame of an animation, which shows until a reader plays it."""

    @property
    def size(self) -> int:
        return len(self.uri) + len(self.still)


def _figure_image(figure: Figure) -> _Image:
    svg = clean(figure.svg).encode()
    # As an image, a plot's ids cannot clash with another's, and nothing in it can run or load.
    uri = _data_uri("image/svg+xml", svg) if 0 < len(svg) <= MAX_SVG_BYTES else _data_uri("image/png", figure.png)
    return _Image(f"figures/{figure.id}.svg", uri)


def _picture_image(picture: Picture) -> _Image:
    still = _last_frame(picture.content)
    return _Image(
        f"pictures/{picture.id}.{EXTENSIONS[picture.mime]}",
        _data_uri(picture.mime, picture.content),
        _data_uri("image/png", still) if still else "",
    )


def _last_frame(content: bytes) -> bytes | None:
    """An animation's last frame, where all have predicted, as PNG; None for a still picture and for one that cannot be read."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if getattr(image, "n_frames", 1) == 1:
                return None
            image.seek(getattr(image, "n_frames", 1) - 1)
            still = io.BytesIO()
            image.convert("RGB").save(still, format="PNG")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return still.getvalue()


def _data_uri(mime: str, content: bytes) -> Markup:
    """Marked as safe: base64 needs no escaping, and must not be searched for secrets, which it holds by chance."""
    return Markup(f"data:{mime};base64,{base64.b64encode(content).decode()}")


def _render(page: Page, images: dict[str, _Image]) -> str:
    template = _environment().get_template("page.html.j2")
    title = one_line(page.title)[:200] or "Report"
    return template.render(page=page, images=images, axis=axis(page.answer) if page.answer else None, plain_title=title)


def site_html(title: str, generator: str, entries: Sequence[object]) -> str:
    """The index of a site (see `reports.pages.site`)."""
    return _environment().get_template("site.html.j2").render(title=title, generator=generator, entries=entries)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports", "pages/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    for name in ("css", "js"):
        source = _asset(environment, f"page.{name}")
        environment.globals[name] = Markup(source)  # this package's own file
        environment.globals[f"{name}_hash"] = Markup(base64.b64encode(hashlib.sha256(source.encode()).digest()).decode())
    environment.globals["long_text"] = LONG_TEXT
    environment.filters["sort_key"] = _sort_key
    environment.filters["named_in"] = _named_in
    environment.filters["breakable"] = _breakable
    environment.filters["csv_uri"] = lambda table: _data_uri("text/csv;charset=utf-8", to_csv(table).encode())
    environment.filters["latex_uri"] = lambda table: _data_uri("text/plain;charset=utf-8", to_latex(table).encode())
    return environment


def _breakable(name: str) -> Markup:
    """A name that a narrow column may break between its parts."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[+(.=_,])", clean(name)))


def _asset(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _named_in(terms: Mapping[str, str], text: str) -> list[str]:
    """The terms that a text holds as words, but for those within a longer one ('SSIM' in 'SSIM (OpenSTL)')."""
    found: list[str] = []
    for name in sorted(terms, key=len, reverse=True):
        text, count = re.subn(rf"(?<!\w){re.escape(name)}(?!\w)", "", text)
        found += [name] if count else []
    return found


def _sort_key(value: float | None) -> str:
    """A number as JavaScript reads it; empty for none."""
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))
