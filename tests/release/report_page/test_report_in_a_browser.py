"""The report page in a headless browser, opened from the disk as a reader would."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

PAGES = ("index.html", "saes.html", "repositories/tiny.html", "repositories/bare.html")
TINY = "repositories/tiny.html"
PHONE = {"viewport": {"width": 360, "height": 780}}
# Ratio of the luminances of text and ground, WCAG 2.2 (1.4.3): 4.5, and 3 for large text.
CONTRASTS = """
() => {
  const known = new Map();
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const parse = (text) => {
    if (!known.has(text)) known.set(text, pixel(text));
    return known.get(text);
  };
  const pixel = (text) => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = text; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => {
      const c = v / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("svg, template, script")) continue;
    if (!element.checkVisibility({opacityProperty: true})) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(parse(style.color)), luminance(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    found.push({ratio, least: isLarge ? 3 : 4.5, text: texts.currentNode.data.trim().slice(0, 40)});
  }
  return found;
}
"""


def address(site: Path, page: str, anchor: str = "") -> str:
    return (site / page).as_uri() + anchor


def shown(page: Any, column: int = 0) -> list[str]:
    """The first line of a column's cells, of the rows that are shown."""
    script = """column => [...document.querySelectorAll("#saes tbody tr")]
        .filter(row => !row.hidden).map(row => row.cells[column].innerText.split("\\n")[0])"""
    found: list[str] = page.evaluate(script, column)
    return found


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label, exact=True).select_option(option)


def await_focus(page: Any, what: str, wanted: str) -> None:
    """The browser moves the focus a moment after the key or click that leads there."""
    page.wait_for_function(
        "([what, wanted]) => document.activeElement[what] === wanted", arg=[what, wanted]
    )


def column_of(page: Any, name: str) -> int:
    headings = page.locator("#saes thead th").all_inner_texts()
    return [heading.strip() for heading in headings].index(name)


def test_a_heading_sorts_its_numbers_and_what_is_missing_stays_last(site: Path, open_page) -> None:
    page = open_page(address(site, TINY)).page
    column = column_of(page, "L0")
    # One SAE lacks its L0; the eleven others have 4.0.
    heading = page.get_by_role("button", name="L0")
    for direction in ("ascending", "descending"):
        heading.click()
        assert page.locator(f"th[aria-sort={direction}]").inner_text() == "L0"
        assert shown(page, column) == ["4.0"] * 11 + ["not measured1"]
    page.get_by_role("button", name="Explained variance").click()
    values = [float(text) for text in shown(page, column_of(page, "Explained variance"))]
    # 0.81 falling by 0.05 from SAE to SAE, the largest first.
    assert values == pytest.approx([0.81 - 0.05 * index for index in range(12)])
    expect(page.locator("th[aria-sort]")).to_have_count(1)


def test_filters_combine_and_tell_how_many_are_left(site: Path, open_page) -> None:
    page = open_page(address(site, TINY)).page
    status = page.get_by_role("status")
    assert status.inner_text() == "12 SAEs"
    choose(page, "Architecture", "TopK")
    choose(page, "Layer", "1")
    assert shown(page) == ["tiny_topk_L1_deceptive_only", "tiny_topk_L1_mixed"]
    page.get_by_role("searchbox").fill("mixed TINY")
    assert (shown(page), status.inner_text()) == (["tiny_topk_L1_mixed"], "1 of 12 SAEs")
    choose(page, "Layer", "2")
    choose(page, "Checks", "failed")
    assert page.get_by_text("No SAE fits all of these filters.").is_visible()
    page.get_by_role("button", name="Show all").click()
    assert len(shown(page)) == 12
    await_focus(page, "type", "search")


def test_a_link_to_one_sae_opens_it_and_escape_leads_to_its_row(site: Path, open_page) -> None:
    page = open_page(address(site, TINY, "#sae-tiny_topk_L1_mixed")).page
    panel = page.get_by_role("dialog", name="tiny_topk_L1_mixed")
    expect(panel).to_be_visible()
    # Its explained variance is the sixth, 0.81 - 5 x 0.05 = 0.56, of 20 held-out vectors.
    row = panel.get_by_role("row").filter(has_text="explained_variance").first
    assert row.get_by_role("cell").all_inner_texts() == ["0.560", "", "20 held out"]
    assert "W102" in panel.get_by_role("listitem").inner_text()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    page.wait_for_function("location.hash === ''")
    await_focus(page, "textContent", "tiny_topk_L1_mixed")


def test_a_link_from_all_saes_leads_to_the_sae(site: Path, open_page) -> None:
    page = open_page(address(site, "saes.html")).page
    assert len(shown(page)) == 24
    choose(page, "Repository", "demo/tiny-saes")
    page.get_by_role("link", name="tiny_gated_L2_mixed").click()
    page.get_by_role("dialog", name="tiny_gated_L2_mixed").wait_for()
    assert page.url.endswith("repositories/tiny.html#sae-tiny_gated_L2_mixed")


def test_back_from_an_sae_the_rows_are_those_that_the_fields_tell(site: Path, open_page) -> None:
    page = open_page(address(site, "saes.html"), **PHONE).page
    choose(page, "Layer", "2")
    page.get_by_role("searchbox").fill("topk")
    choose(page, "Sort by", "Explained variance, smallest first")
    status = page.get_by_role("status")
    expect(status).to_have_text("4 of 24 SAEs")
    listed = shown(page)
    # Of the measured ones the second is the last of the manifest's order, and has the lowest.
    assert listed[0] == "tiny_topk_L2_mixed"
    page.get_by_role("link", name="tiny_topk_L2_mixed").first.click()
    page.get_by_role("dialog", name="tiny_topk_L2_mixed").wait_for()
    page.go_back()
    expect(page.get_by_role("combobox", name="Layer", exact=True)).to_have_value("2")
    expect(status).to_have_text("4 of 24 SAEs")
    expect(page.locator("#saes tbody tr:not([hidden])")).to_have_count(4)
    sorting = page.get_by_role("combobox", name="Sort by", exact=True)
    assert sorting.locator("option:checked").inner_text() == "Explained variance, smallest first"
    expect(page.locator("th[aria-sort=ascending]")).to_have_count(1)
    assert shown(page) == listed


def test_a_link_to_a_row_that_is_filtered_out_shows_all_again(site: Path, open_page) -> None:
    page = open_page(address(site, TINY)).page
    choose(page, "Architecture", "Gated")
    page.evaluate("location.hash = '#sae-tiny_topk_L1_mixed'")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("status")).to_have_text("12 SAEs")
    assert len(shown(page)) == 12


def test_the_keyboard_alone_sorts_filters_and_opens(site: Path, open_page) -> None:
    page = open_page(address(site, TINY)).page
    page.keyboard.press("Tab")
    await_focus(page, "textContent", "Skip to the content")
    page.keyboard.press("Enter")
    await_focus(page, "id", "main")

    def tab_to(wanted: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").strip() == wanted:
                return
        pytest.fail(f"no Tab leads to {wanted}")

    tab_to("Explained variance")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=ascending]").inner_text() == "Explained variance"
    # 0.81 - 11 x 0.05 = 0.26 comes first, the last in the manifest's order.
    last = "tiny_topk_L2_mixed"
    assert shown(page)[0] == last
    tab_to(last)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name=last)).to_be_visible()
    page.keyboard.press("Tab")
    await_focus(page, "textContent", "Close")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(site: Path, open_page, scheme: str) -> None:
    grounds = set()
    for name in PAGES:
        page = open_page(address(site, name), color_scheme=scheme).page
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        grounds.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        found = page.evaluate(CONTRASTS)
        assert len(found) > 20
        assert [each for each in found if each["ratio"] < each["least"]] == []
    assert len(grounds) == 1
    assert (grounds == {"rgb(255, 255, 255)"}) == (scheme == "light")


@pytest.mark.parametrize("options", [PHONE, {"viewport": {"width": 1280, "height": 900}}])
def test_no_page_is_wider_than_the_window(site: Path, open_page, options: dict[str, Any]) -> None:
    for name in PAGES:
        page = open_page(address(site, name), **options).page
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        width = options["viewport"]["width"]
        assert page.evaluate("document.documentElement.scrollWidth") == width, name


def test_a_phone_shows_rows_as_cards_that_are_still_a_table(site: Path, open_page) -> None:
    page = open_page(address(site, TINY), **PHONE).page
    row = page.locator("#saes tbody tr").first
    assert row.bounding_box()["width"] <= PHONE["viewport"]["width"]
    label = (
        "getComputedStyle(document.querySelector('#saes td[data-label=L0]'), '::before').content"
    )
    assert page.evaluate(label) == '"L0"'
    assert row.get_by_role("cell").count() == 10
    choose(page, "Sort by", "Explained variance, smallest first")
    assert shown(page)[0] == "tiny_topk_L2_mixed"
    choose(page, "Sort by", "as listed")
    assert shown(page)[-1] == "tiny_topk_L2_mixed"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PAGES, f"{TINY}#sae-tiny_topk_L1_mixed"])
def test_axe_finds_nothing_that_keeps_the_page_from_people(
    site: Path, open_page, name: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    path, _, anchor = name.partition("#")
    # The policy of the page keeps axe's script out as any other.
    options = {"color_scheme": scheme, "bypass_csp": True}
    page = open_page(address(site, path, f"#{anchor}" if anchor else ""), **options).page
    for width in (1280, PHONE["viewport"]["width"]):
        page.set_viewport_size({"width": width, "height": 900})
        results = axe.run(page)
        assert results.response["passes"], "axe ran no rule"
        assert results.violations_count == 0, results.generate_report()


def test_the_map_has_a_cell_for_each_sae_and_shows_what_is_chosen(site: Path, open_page) -> None:
    page = open_page(address(site, TINY)).page
    maps = page.locator("#maps figure")
    assert maps.locator("h3").all_inner_texts() == ["deceptive_only", "mixed"]
    expect(page.locator("#maps [data-mark=cell] rect")).to_have_count(12)
    texts = "#maps [data-mark=text] text"
    # The first is 0.81, Gated at layer 1, deceptive_only.
    assert page.locator(texts).first.inner_html() == "0.81"
    choose(page, "Show", "Dead latents, share")
    assert set(page.locator(texts).all_text_contents()) == {"0.25"}
    # Of one SAE the L0 is not known: its point is left out.
    expect(page.locator("#scatter [data-mark=dot] path")).to_have_count(11)


def test_a_click_in_the_map_opens_the_sae(site: Path, open_page) -> None:
    page = open_page(address(site, TINY)).page
    page.locator("#maps").scroll_into_view_if_needed()
    box = page.locator("#maps [data-mark=cell] rect").first.bounding_box()
    page.mouse.move(box["x"] + 12, box["y"] + 12)
    page.locator("#maps [data-mark=tip] tspan").first.wait_for(state="attached")
    page.mouse.click(box["x"] + 12, box["y"] + 12)
    page.get_by_role("dialog", name="tiny_gated_L1_deceptive_only").wait_for()
    assert page.evaluate("location.hash") == "#sae-tiny_gated_L1_deceptive_only"


def test_a_finding_is_explained_where_its_link_leads(site: Path, open_page) -> None:
    page = open_page(address(site, "index.html")).page
    first = page.locator(".attention li").first
    assert first.locator(".state").inner_text() == "failed"
    first.get_by_role("link", name="demo/tiny-saes").click()
    finding = page.locator("article:target")
    expect(finding).to_be_focused()
    assert finding.locator("h3").inner_text().split()[:2] == ["failed", "W102"]
    assert finding.get_by_text("mend it", exact=True).is_visible()
    finding.get_by_text("Why it matters").click()
    expect(finding.get_by_text("release explain W102")).to_be_visible()


def test_without_scripts_all_rows_are_there(site: Path, open_page) -> None:
    page = open_page(address(site, TINY), java_script_enabled=False).page
    expect(page.locator("#saes tbody tr")).to_have_count(12)
    assert not page.get_by_role("searchbox").is_visible()
    assert page.get_by_text("The map needs scripts").is_visible()


def test_nothing_is_refused_and_nothing_is_asked_of_a_network(site: Path, open_page) -> None:
    for name in PAGES:
        opened = open_page(address(site, name), color_scheme="dark")
        opened.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        assert opened.said == []
        assert {url.partition(":")[0] for url in opened.requests} <= {"file", "data"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing: what the browser said is what counts."""


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The folder on a web server, below a path, as GitHub Pages has it."""
    handler = functools.partial(_Quiet, directory=str(site.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{site.name}/"
        server.shutdown()
        thread.join()


def test_it_works_on_a_web_server_below_a_path(served: str, open_page) -> None:
    opened = open_page(served)
    opened.page.get_by_role("link", name="demo/tiny-saes").first.click()
    opened.page.get_by_role("button", name="Explained variance").click()
    expect(opened.page.locator("#maps [data-mark=cell] rect")).to_have_count(12)
    assert opened.said == []
    assert all(url.startswith((served, "data:")) for url in opened.requests)
