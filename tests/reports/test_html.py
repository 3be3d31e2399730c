"""A page as HTML, and what a page must be."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_page import METHODS, sample_page
from small_pages import LONG, NASTY, page_of, table_of

from reports.page import Figure, Page, Picture, Section, Table, Value
from reports.pages import folder, html

VOID = {"meta", "link", "img", "input", "br", "hr", "wbr"}


class Document(HTMLParser):
    """Elements with their attributes and texts; complains where tags do not pair up."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.texts)


@pytest.fixture(scope="module")
def document() -> Document:
    return Document(html.to_html(sample_page()))


def test_structure(document: Document) -> None:
    assert len(document.all("h1")) == len(document.all("main")) == len(document.all("title")) == 1
    assert document.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = Counter(attributes["id"] for _, attributes in document.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    for _, attributes in document.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set((attributes.get(name) or "").split()) <= ids.keys()
        if (href := attributes.get("href") or "").startswith("#"):
            assert href[1:] in ids
    assert all(image["alt"] for image in document.all("img"))
    assert [heading["scope"] for heading in document.all("th")].count("row") == 3 * len(
        METHODS
    )  # the first screen has them, too
    regions = [attributes for _, attributes in document.elements if attributes.get("role") == "region"]
    assert len(regions) == 2
    assert all(region["tabindex"] == "0" and region["aria-labelledby"] for region in regions)


def test_nothing_is_loaded_from_elsewhere(document: Document) -> None:
    policies = [
        meta["content"] or "" for meta in document.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies[0].startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policies[0]
    for tag, attributes in document.elements:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "srcset" not in attributes
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        allowed = ("data:,",) if tag == "link" else ("#", "data:text/")
        assert (attributes.get("href") or allowed[0]).startswith(allowed)
    css = (Path(html.__file__).parent / "templates/page.css").read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_every_text_of_a_page_comes_out_as_text() -> None:
    texts = iter(f"{NASTY} {number}" for number in range(100))
    used: list[str] = []

    def nasty() -> str:
        used.append(next(texts))
        return used[-1]

    png = sample_page().sections[2].pictures[0].content
    page = Page(
        title=nasty(),
        summary=(nasty(),),
        warnings=(nasty(),),
        facts={nasty(): nasty()},
        sections=(
            Section(
                id="a",
                title=nasty(),
                paragraphs=(nasty(),),
                commands=(nasty(),),
                tables=(
                    Table("t", nasty(), (nasty(), "n"), ((Value(nasty()), Value(nasty(), 1.0)),), (False, True), nasty()),
                ),
                figures=(Figure("f", nasty(), nasty(), "alt", "<svg/>", png),),
                pictures=(Picture("p", nasty(), nasty(), "alt", "image/png", png),),
            ),
        ),
    )
    document = Document(html.to_html(page))
    for text in used:
        assert text in document.text
    assert len(document.all("script")) == 1
    alts = dataclasses.replace(page.sections[0].pictures[0], alt='"><script>x</script>')
    images = Document(html.to_html(page_of(pictures=(alts,)))).all("img")
    assert images[0]["alt"] == '"><script>x</script>'


@pytest.mark.parametrize("text", [LONG, "\x00\x1b[31m\ud800", "\u202egnp.exe", "", "a\nb\r\nc"])
def test_odd_names_are_written_in_every_format(tmp_path: Path, text: str) -> None:
    page = dataclasses.replace(page_of(table_of(text)), title=text, facts={text: text}, warnings=(text,))
    folder.write(page, tmp_path)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    Document(html)
    assert not re.search("[\x00-\x08\x1b]", html)
    if text == LONG:
        assert LONG in Document(html).text


def test_numbers_are_sorted_by_their_value() -> None:
    values = (
        Value("one", 1),
        Value("big", float("inf")),
        Value("less", float("-inf")),
        Value("?", float("nan")),
        Value("—"),
    )
    table = Table("t", "T", ("name", "n"), tuple((Value(str(i)), value) for i, value in enumerate(values)), (False, True))
    cells = Document(html.to_html(page_of(table))).all("td")
    assert [cell.get("data-sort") for cell in cells] == ["1.0", "Infinity", "-Infinity", None, None]


def test_an_empty_page_and_an_empty_table() -> None:
    assert "No rows." in Document(html.to_html(page_of(table_of()))).text
    Document(html.to_html(Page(title="", summary=(), sections=())))


def test_an_animation_stands_still_until_it_is_played(document: Document) -> None:
    kinds = [(image["src"] or "").split(";")[0] for image in document.all("img")]
    assert kinds == ["data:image/svg+xml", "data:image/png", "data:image/gif", "data:image/png"]
    assert len([element for element in document.all("details") if element["class"] == "play"]) == 1


def test_what_stands_still_is_the_last_frame() -> None:
    """The first frames show the input, and nothing that was predicted."""
    frames = [Image.new("RGB", (8, 8), color) for color in ("black", "white", "red")]
    content = io.BytesIO()
    frames[0].save(content, format="GIF", save_all=True, append_images=frames[1:], duration=100)
    text = html.to_html(page_of(pictures=(Picture("p", "P", "", "moving", "image/gif", content.getvalue()),)))
    (still,) = re.findall(r'<img class="still" src="data:image/png;base64,([^"]+)"', text)
    with Image.open(io.BytesIO(base64.b64decode(still))) as image:
        assert image.getpixel((4, 4)) == (255, 0, 0)


def test_rendering_is_deterministic() -> None:
    page = sample_page()
    assert html.to_html(page) == html.to_html(page)


def noise(id: str, side: int) -> Picture:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, format="PNG")
    return Picture(id, "Noise.", "", f"noise {id}", "image/png", content.getvalue())


def test_a_page_stays_under_five_megabytes(tmp_path: Path) -> None:
    page = page_of(pictures=(noise("large", 1000), noise("small", 100), noise("larger", 1100)))
    assert sum(len(picture.content) for picture in page.sections[0].pictures) > 5e6
    folder.write(page, tmp_path)
    assert (tmp_path / "index.html").stat().st_size <= html.MAX_PAGE_BYTES
    document = Document((tmp_path / "index.html").read_text())
    assert len(document.all("img")) == 2
    assert [link["href"] for link in document.all("a") if "pictures" in (link["href"] or "")] == ["pictures/larger.png"]
    assert "noise larger" in document.text
    assert (tmp_path / "pictures/larger.png").read_bytes() == page.sections[0].pictures[2].content


def test_an_image_is_not_searched_for_secrets() -> None:
    looks_like_one = "AAAApwdAAAA="  # after '...;base64,' this is a field of a query that names a password
    figure = Figure("f", "A figure", "", "what it shows", "", base64.b64decode(looks_like_one))
    assert f"data:image/png;base64,{looks_like_one}" in html.to_html(page_of(figures=(figure,)))


def test_a_name_may_be_broken_after_its_parts_and_comes_out_as_text() -> None:
    assert "a+<wbr>&lt;b&gt;" in html.to_html(page_of(table_of("a+<b>")))
    assert "base(<wbr>training.<wbr>data_<wbr>order=<wbr>1)" in html.to_html(
        page_of(table_of("base(training.data_order=1)"))
    )
    assert "p:***@host" in html.to_html(page_of(table_of("x://p:hunter2@host+")))


def test_a_heavy_plot_is_embedded_as_png() -> None:
    figure = dataclasses.replace(sample_page().sections[0].figures[0], svg="<svg>" + " " * html.MAX_SVG_BYTES + "</svg>")
    images = Document(html.to_html(page_of(figures=(figure,)))).all("img")
    assert (images[0]["src"] or "").startswith("data:image/png")
