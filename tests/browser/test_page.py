"""A report in a real browser: sorting, filtering, the keyboard, narrow screens, both colour schemes, and nothing loaded."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import PHONE, WIDE, Open, until
from playwright.sync_api import Locator
from playwright.sync_api import Page as Tab

from harness.errors import RequestError
from reports.figures import canvas
from reports.page import Control, Page, Section, Table, Value
from reports.pages.folder import write

pytestmark = pytest.mark.browser

SAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "support" / "sample_page.py"))
NAMES = [row[0] for row in SAMPLE["METHODS"]]
GAINS = {row[0]: row[4][0] for row in SAMPLE["METHODS"] if row[4]}
LONG = "n" * 10_000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(SAMPLE["sample_page"](), tmp_path_factory.mktemp("report"))[0].as_uri()


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Long names, and names that would run a script if they were taken for markup."""
    script = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    table = Table(
        id="t",
        title=script + LONG,
        columns=(LONG, "number", script),
        rows=tuple((Value(LONG), Value(text, value), Value(script + LONG)) for text, value in ((LONG, 2.0), ("1", 1.0))),
        numeric=(False, True, False),
        note=LONG,
    )
    section = Section("s", LONG, paragraphs=(script, LONG), tables=(table,), commands=(LONG,))
    page = Page(
        title=LONG, summary=(LONG,), warnings=(script + LONG,), facts={LONG: LONG}, sections=(section, Section("u", script))
    )
    return write(page, tmp_path_factory.mktemp("hostile"))[0].as_uri()


def shown(table: Locator) -> list[str]:
    """The names of the visible rows, top to bottom."""
    rows = table.locator("tbody tr:visible")
    return [text.strip() for text in rows.locator("th").all_inner_texts()]


def tab_to(page: Tab, condition: str) -> None:
    """Presses Tab until `condition` holds for the focused element."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(f"(() => {{ const e = document.activeElement; return {condition}; }})()"):
            return
    pytest.fail(f"the keyboard does not reach: {condition}")


@pytest.mark.parametrize(
    "viewport", [{"width": 1280, "height": 800}, {"width": 375, "height": 812}], ids=["desktop", "phone"]
)
def test_one_screen_answers(visit: Open, report: str, viewport: dict[str, int]) -> None:
    page = visit(report, viewport=viewport)
    shown = page.locator(".answer")
    texts = shown.inner_text()
    answer = SAMPLE["answer"]()
    for effect in answer.effects:
        assert effect.text in texts
    for effect in answer.effects[1:]:
        assert all(word in texts for word in (effect.name.split(" + ")[0], effect.verdict, effect.cost, effect.sure))
    for words in (answer.headline, answer.setting, *(one.words for one in answer.controls), *answer.remaining):
        assert words in texts
    for part in (".answer h2", ".forest tbody tr", ".controls li, .checks li", ".checks p", ".axis"):
        boxes = [one.bounding_box() for one in page.locator(part).all()]
        assert boxes
        assert all(box and box["y"] >= 0 and box["y"] + box["height"] <= viewport["height"] for box in boxes), part
    assert shown.evaluate("(e) => e.scrollWidth <= e.clientWidth")


@pytest.mark.parametrize(
    "viewport", [{"width": 1280, "height": 800}, {"width": 390, "height": 844}], ids=["desktop", "phone"]
)
def test_one_screen_holds_nine_arms_and_controls(visit: Open, tmp_path: Path, viewport: dict[str, int]) -> None:
    """On a phone undecided arms have no line of costs, and the setting comes after the screen."""
    answer = SAMPLE["answer"]()
    arms = [replace(one, name=f"arm{k}+{one.name}") for k, one in enumerate([*answer.effects[1:], *answer.effects[1:4]])]
    command = f"harness ablate --plan base,{','.join(one.name for one in arms)} --preset cpu --seeds 19"
    words = (
        "as they must: other sequences undecided (+0.0005), so not called; half hurts (-0.0391); twice helps (+0.0331)",
        "frames in which every metric beats the blank frame (SSIM 0.4379): the first 8 of 10 (base); the first 9 to 10 (9 arms)",
        "all 65 runs finished",
        "4 of 9 verdicts depend on the metric (4 arms)",
        "as plan b717de6427ca4dfd asked beforehand",
    )
    many = replace(
        answer,
        effects=(answer.effects[0], *arms),
        controls=tuple(Control(True, one) for one in words),
        tradeoff=(
            "Not beaten by another arm's means (Pareto front) against training time: base, tta; against parameters: tta.",
        ),
        commands=(command,),
    )
    page = visit(write(Page("Ablation report", (), (), answer=many), tmp_path)[0].as_uri(), viewport=viewport)
    phone = viewport["width"] < 1000
    for part in (".answer h2", ".forest tbody tr", ".marks", ".checks li", ".checks p", ".checks pre", ".axis"):
        boxes = [one.bounding_box() for one in page.locator(part).all() if one.is_visible()]
        assert boxes
        assert all(box and box["y"] >= 0 and box["y"] + box["height"] <= viewport["height"] for box in boxes), part
    assert page.locator(".answer").evaluate("(e) => e.scrollWidth <= e.clientWidth")
    shown = page.locator(".answer").inner_text()
    for one in arms:
        assert one.text in shown
    decided = [one for one in many.effects if one.verdict in ("helps", "hurts")]
    assert page.locator(".forest tbody .cost:visible").count() == (len(decided) if phone else 1 + len(arms))


def test_the_forest_plot_has_one_axis_and_the_margin(visit: Open, report: str) -> None:
    page = visit(report, viewport={"width": 1280, "height": 800})
    answer = SAMPLE["answer"]()
    middle = "(e) => { const b = e.getBoundingClientRect(); return (b.left + b.right) / 2; }"
    marks = page.locator(".forest tbody .mark").evaluate_all(f"(all) => all.map({middle})")
    gains = [one.gain for one in answer.effects[1:]]
    zone = page.locator(".zone").evaluate_all("(all) => all.map((e) => e.getBoundingClientRect().toJSON())")
    assert len({(round(one["left"], 1), round(one["right"], 1)) for one in zone}) == 1  # the same in every row
    scale = (zone[0]["right"] - zone[0]["left"]) / (2 * answer.margin)
    zero = (zone[0]["right"] + zone[0]["left"]) / 2
    assert marks == pytest.approx([zero + scale * gain for gain in gains], abs=1)
    bars = page.locator(".marks > .bar").evaluate_all("(all) => all.map((e) => e.getBoundingClientRect().toJSON())")
    for bar, one in zip(bars, answer.effects[1:], strict=True):
        assert (bar["left"], bar["right"]) == pytest.approx((zero + scale * one.low, zero + scale * one.high), abs=1.5)
    ticks = page.locator(".axis text").evaluate_all(f"(all) => all.map((e) => [e.textContent, ({middle})(e)])")
    assert len(ticks) >= 3
    assert [at for _, at in ticks] == pytest.approx([zero + scale * float(text) for text, _ in ticks], abs=1)


A4 = {"width": 1032, "height": 703}
"""The printed area: A4 across, with margins of 12 mm, at 96 pixels an inch."""


def test_print_clips_nothing_and_opens_what_is_folded(visit: Open, report: str, hostile_report: str) -> None:
    for url in (report, hostile_report):
        page = visit(url, viewport=A4)
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        stray = """[...document.querySelectorAll('main *')].filter((e) => e.getClientRects().length
            && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"""
        assert page.evaluate(stray) == []
        clipped = """[...document.querySelectorAll('.scroll, .plate, td, th')].filter((e) => e.getClientRects().length
            && e.scrollWidth > e.clientWidth + 1).map((e) => e.outerHTML.slice(0, 80))"""
        assert page.evaluate(clipped) == []
        assert page.locator("details.long:not([open])").count() == 0


def test_legends_are_whole_on_a_phone(visit: Open, tmp_path: Path) -> None:
    names = ["attention+curriculum+residual+tta with a name beyond a line", *(f"arm {k}" for k in range(7))]
    with canvas.draw(2.4) as (plot, (axes,)):
        for k, name in enumerate(names):
            axes.plot([0, 1], [k, k + 1], label=name)
        canvas.legend(plot, axes)
        plot.draw_without_rendering()
        (legend,) = plot.legends
        box, whole = legend.get_window_extent(), plot.bbox
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert whole.y0 <= box.y0
        figure = canvas.save(plot, "lines", "Lines", "A caption.", "Lines.")
    page = visit(write(Page("A page", (), (Section("s", "S", figures=(figure,)),)), tmp_path)[0].as_uri(), viewport=PHONE)
    image = page.locator("#figure-lines img").bounding_box()
    assert image is not None
    assert image["x"] >= 0
    assert image["x"] + image["width"] <= PHONE["width"]
    assert image["width"] > 72 * canvas.COLUMN  # its letters are not smaller than 75% of their size on paper
    assert page.locator("#figure-lines .plate").evaluate("(e) => e.scrollWidth <= e.clientWidth")


def test_a_page_is_printed_to_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write(SAMPLE["sample_page"](), tmp_path, pdf=True)
    assert tmp_path / "report.pdf" in written
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 3
    assert b"841.9" in content  # A4 across, points
    monkeypatch.setattr("reports.exports.pdf.printer", lambda: None)
    with pytest.raises(RequestError, match=r"install Chromium .* or WeasyPrint"):
        write(SAMPLE["sample_page"](), tmp_path, pdf=True)


def test_sorting_by_a_numeric_column_orders_by_value(visit: Open, report: str) -> None:
    table = visit(report).locator("#table-ablation")
    heading = table.get_by_role("columnheader", name="gain over base")
    button = heading.get_by_role("button")
    assert heading.get_attribute("aria-sort") is None
    button.click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert shown(table) == [*sorted(GAINS, key=lambda name: GAINS[name]), "base"]
    assert table.get_by_role("status").inner_text() == "7 rows, sorted by gain over base [95 % interval], ascending"
    button.click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert shown(table) == [*sorted(GAINS, key=lambda name: -GAINS[name]), "base"]
    button.click()
    assert heading.get_attribute("aria-sort") is None
    assert shown(table) == NAMES


def test_one_column_is_sorted_at_a_time_and_texts_by_alphabet(visit: Open, report: str) -> None:
    page = visit(report)
    table = page.locator("#table-costs")
    table.get_by_role("button", name="wall time (s)").click()
    times = [float(text) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()]
    assert times == sorted(times)
    assert times[-1] > 100 > times[0]  # as texts, 104.9 would come first
    table.get_by_role("button", name="method").click()
    assert table.locator("[aria-sort]").count() == 1
    assert shown(table) == sorted(NAMES)
    assert shown(page.locator("#table-ablation")) == NAMES


def test_filtering_hides_rows_and_says_how_many_are_left(visit: Open, report: str) -> None:
    page = visit(report)
    table = page.locator("#table-ablation")
    field = table.get_by_label("Filter rows of table 1")
    status = table.get_by_role("status")
    assert status.get_attribute("aria-live") == "polite"
    assert status.inner_text() == "7 rows"
    field.fill("BETTER attention")
    assert shown(table) == ["residual + attention"]
    assert status.inner_text() == "1 of 7 rows"
    field.fill("-0.0022")  # the table prints a typographic minus
    assert shown(table) == ["curriculum"]
    field.fill("no such row")
    assert shown(table) == []
    assert status.inner_text() == "0 of 7 rows"
    field.fill("")
    assert shown(table) == NAMES
    assert len(shown(page.locator("#table-costs"))) == 7


def test_the_keyboard_alone_sorts_filters_skips_and_scrolls(visit: Open, report: str) -> None:
    page = visit(report, viewport=PHONE)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "e.id === 'filter-ablation'")
    page.keyboard.type("better")
    table = page.locator("#table-ablation")
    assert len(shown(table)) == 3
    tab_to(page, "e.className === 'scroll'")
    page.keyboard.press("ArrowRight")
    until(page, "document.activeElement.scrollLeft > 0")
    tab_to(page, "e.className === 'sort' && e.textContent.startsWith('SSIM')")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Space")
    assert shown(table) == ["tta", "residual", "residual + attention"]
    page.keyboard.press("Enter")
    assert shown(table) == ["residual + attention", "residual", "tta"]
    assert page.evaluate("document.activeElement.closest('th').getAttribute('aria-sort')") == "descending"


def test_nothing_else_is_loaded(visit: Open, report: str) -> None:
    page = visit(report)
    page.locator("summary").first.click()
    entries = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in entries if not name.startswith("data:")] == []
    broken = page.evaluate("[...document.images].filter((image) => image.complete && !image.naturalWidth).length")
    assert broken == 0


def test_without_javascript_everything_is_there(visit: Open, report: str) -> None:
    page = visit(report, java_script_enabled=False)
    table = page.locator("#table-ablation")
    assert shown(table) == NAMES
    assert table.get_by_role("button").count() == 0  # nothing that would not work
    assert not table.locator("input").is_visible()
    assert page.locator("figure").count() == 3
    animation, still = page.locator("#picture-animation img").all()
    assert still.is_visible()
    assert not animation.is_visible()
    page.get_by_text("Play the animation").click()
    assert animation.is_visible()
    assert not still.is_visible()


@pytest.mark.parametrize("viewport", [WIDE, PHONE, {"width": 320, "height": 640}], ids=lambda size: str(size["width"]))
def test_the_page_never_scrolls_sideways(visit: Open, report: str, hostile_report: str, viewport: dict[str, int]) -> None:
    for url in (report, hostile_report):
        page = visit(url, viewport=viewport)
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        page.evaluate("window.scrollTo(500, 0)")
        assert page.evaluate("window.scrollX") == 0
        stray = """[...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, .plate, .skip, details')
            && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"""
        assert page.evaluate(stray) == []


def test_on_a_phone_the_first_column_stays_in_sight(visit: Open, report: str) -> None:
    page = visit(report, viewport=PHONE)
    region = page.get_by_role("region", name="Each idea added to the base")
    assert region.get_attribute("tabindex") == "0"
    region.evaluate("(e) => { e.scrollLeft = 10000; }")
    assert region.evaluate("(e) => e.scrollLeft") > 0
    offset = "(e) => e.querySelector('tbody th').getBoundingClientRect().left - e.getBoundingClientRect().left"
    assert region.evaluate(offset) == pytest.approx(0, abs=1)


def test_markup_in_names_is_text(visit: Open, hostile_report: str) -> None:
    page = visit(hostile_report)
    page.get_by_role("button", name="number").click()
    assert page.title() == LONG[:200]
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert "<script>document.title = 'run'</script>" in page.locator("main").inner_text()
    assert page.locator("tbody td:nth-child(2)").all_inner_texts()[0] == "1"


@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", WIDE), ("dark", WIDE), ("dark", PHONE)], ids=["light", "dark", "phone"]
)
def test_accessibility(visit: Open, report: str, scheme: str, viewport: dict[str, int]) -> None:
    page = visit(report, color_scheme=scheme, viewport=viewport)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.locator(".plate").first.evaluate("(e) => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
    page.get_by_role("button", name="parameters").click()
    # axe cannot tell what a text on a gradient contrasts with (the shade at a table's edge is one), nor what is scrolled away.
    page.evaluate("document.querySelectorAll('.scroll').forEach((e) => { e.style.background = 'none'; })")
    if viewport == WIDE:
        page.evaluate("document.body.style.maxWidth = 'none'")
        page.set_viewport_size({"width": 1600, "height": 900})
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}}).response
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
    if viewport == WIDE:  # on a phone, the first column covers parts of the others
        nodes = [node for rule in found["incomplete"] if rule["id"] == "color-contrast" for node in rule["nodes"]]
        assert [
            node["html"] for node in nodes if 'class="arrow"' not in node["html"] and not node["html"].startswith("<text")
        ] == []  # one character is too short for it, and what lies under an axis's numbers is drawn
