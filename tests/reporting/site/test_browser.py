"""The pages in a real browser, from disk: clicks, keys, colours and a phone. Skipped without Chromium."""

import pytest

from dgreid.reporting.site import page
from dgreid.reporting.site.material import Paper
from helpers.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SCORES = "#toy table"
PAPER = """<h2>Paper, Table 1. Toy</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th></th><th colspan="2">VIPeR</th><th colspan="2">GRID</th></tr>
<tr><th class="text">Method</th><th>R-1</th><th>mAP</th><th>R-1</th><th>mAP</th></tr></thead>
<tbody>
<tr class="published"><td>A</td><td>10.0</td><td>9</td><td>1,000</td><td>-</td></tr>
<tr class="measured"><td></td><td>99.0 ± 1.0</td><td>9</td><td>1</td><td>1</td></tr>
<tr class="difference"><td>-</td><td>+89.0</td><td>0.0</td><td>-999</td><td></td></tr>
<tr class="published"><td>B</td><td>9.5</td><td>9</td><td>200</td><td>1</td></tr>
</tbody></table></div>
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def reports(root, make, gather, tmp_path):
    """Three systems on two backbones, one of them on full data as well."""
    runs = [
        make(method, seed, score + seed)
        for seed in (0, 1)
        for method, score in (("erm", 9.0), ("metabin", 45.0))
    ]
    long = "another-with_a_name_that_is_longer_than_a_phone_is_wide-big_net-toy-s0"
    runs += [
        make("another", 0, 30.0) | {"backbone": "big_net", "run": long, "title": "another, " + 9 * "longer "}
    ]
    runs += [make("erm", 0, 12.0, data="full", protocol="other")]
    page.write(gather(runs, papers=[Paper("paper_t1", "Paper, Table 1. Toy", PAPER)]), tmp_path)
    return tmp_path


def column(browser, table, number):
    """The visible cells of a column, from the top."""
    return browser.run(
        f"[...document.querySelectorAll({table + ' tbody tr'!r})].filter(row => row.offsetParent)"
        f".map(row => row.cells[{number}].textContent)"
    )


def visible(selector, property):
    """An expression: the property of what is seen."""
    return (
        f"[...document.querySelectorAll({selector!r})].filter(node => node.offsetParent)"
        f".map(node => node.{property})"
    )


def choose(browser, field, value):
    browser.run(
        f"(() => {{ const field = document.querySelector('[name={field}]'); field.value = {value!r};"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def errors(browser):
    browser.run("0")
    kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
    return [event for event in browser.events if event.get("method") in kinds]


def requested(browser):
    return {
        event["params"]["request"]["url"].split(":")[0]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    }


def test_opens_from_disk_without_a_network_or_an_error(browser, reports):
    for path in sorted(reports.rglob("*.html")):
        browser.open(path)
        assert errors(browser) == [] and requested(browser) <= {"file", "data"}
        assert browser.run("getComputedStyle(document.querySelector('main')).maxWidth") != "none"  # styled


def test_a_click_sorts_numbers_down_then_up_then_back(browser, reports):
    browser.open(reports / "index.html")
    before = column(browser, SCORES, 2)
    assert before == ["9.5 ± 0.7", "45.5 ± 0.7", "30.0"]
    head = f"{SCORES} thead tr:last-child th:nth-child(3)"
    state = f"document.querySelector({head!r}).getAttribute('aria-sort')"
    browser.click(f"{head} button")
    assert column(browser, SCORES, 2) == ["45.5 ± 0.7", "30.0", "9.5 ± 0.7"]
    assert browser.run(state) == "descending"
    browser.click(f"{head} button")
    assert column(browser, SCORES, 2) == [
        "9.5 ± 0.7",
        "30.0",
        "45.5 ± 0.7",
    ]  # 9.5 is less than 30: no text order
    assert browser.run(state) == "ascending"
    browser.click(f"{head} button")
    assert column(browser, SCORES, 2) == before and browser.run(state) is None
    assert len(browser.run("[...document.querySelectorAll('[aria-sort]')].map(String)")) == 0


def test_the_keyboard_reaches_the_buttons_and_sorts(browser, reports):
    browser.open(reports / "index.html")
    button = f"{SCORES} thead tr:last-child th:nth-child(3) button"
    for _ in range(40):
        browser.press("Tab")
        if browser.run(f"document.activeElement === document.querySelector({button!r})"):
            break
    else:
        pytest.fail("Tab never came to the button")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"  # seen to be there
    browser.press("Enter")
    assert column(browser, SCORES, 2) == ["45.5 ± 0.7", "30.0", "9.5 ± 0.7"]


def test_filters_hide_rows_columns_and_empty_sections(browser, reports):
    browser.open(reports / "index.html")
    shown = visible("main section[data-filtered]", "id")
    assert browser.run(shown) == ["other", "toy", "differences", "cost"]
    choose(browser, "backbone", "big_net")
    assert column(browser, SCORES, 2) == ["30.0"]
    assert browser.run(shown) == ["toy", "cost"]  # no difference was taken on that backbone
    assert browser.run("document.querySelector('output').value") == "2 of 14 rows"
    choose(browser, "backbone", "")
    choose(browser, "data", "full")
    assert browser.run(shown) == ["other", "cost"]
    browser.click("button[type=reset]")
    browser.run("new Promise(done => setTimeout(done, 20))")
    assert browser.run(shown) == ["other", "toy", "differences", "cost"]
    choose(browser, "target", "i_LIDS")
    heads = visible("#toy thead th[colspan]", "textContent")
    assert browser.run(heads) == ["i_LIDS"]
    assert set(column(browser, "#differences table", 1)) == {"i_LIDS"}
    choose(browser, "target", "")
    choose(browser, "words", "ANOTHER big")
    assert browser.run(shown) == ["toy", "cost"]


def test_a_select_works_by_keys_alone(browser, reports):
    browser.open(reports / "index.html")
    browser.run("document.querySelector('[name=method]').focus()")
    browser.type("m")
    assert browser.run("document.querySelector('[name=method]').value") == "metabin"
    assert column(browser, SCORES, 2) == ["45.5 ± 0.7"]


def test_what_was_measured_stays_below_its_published_row(browser, reports):
    browser.open(reports / "site" / "papers" / "paper_t1.html")
    browser.click("thead tr:last-child th:nth-child(2) button")
    assert column(browser, "table", 0) == [
        "A",
        "",
        "-",
        "B",
    ]  # by the published 10.0 and 9.5, whatever was measured
    browser.click("thead tr:last-child th:nth-child(2) button")
    assert column(browser, "table", 0) == ["B", "A", "", "-"]
    browser.click("thead tr:last-child th:nth-child(4) button")
    assert column(browser, "table", 3) == ["1,000", "1", "-999", "200"]
    for _ in range(2):
        browser.click("thead tr:last-child th:nth-child(5) button")
        assert column(browser, "table", 0) == ["B", "A", "", "-"]  # "-" is no number: last, either way
    choose(browser, "target", "GRID")
    hidden = "[...document.querySelectorAll('tbody tr:first-child td')].map(cell => cell.hidden)"
    assert browser.run(hidden) == [False, True, True, False, False]


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_shows_the_page_without_sideways_scrolling(browser, reports, width):
    for path in sorted(reports.rglob("*.html")):
        browser.open(path, width=width, height=800)
        assert browser.run("document.documentElement.scrollWidth") == width, path
        names = "[...document.querySelectorAll('tbody tr > :first-child')]"
        first = browser.run(f"Math.max(0, ...{names}.map(cell => cell.offsetWidth))")
        assert first <= width / 3, path


def test_heads_and_names_stay_in_view_while_a_table_scrolls(browser, reports):
    browser.open(reports / "index.html", width=390, height=400)
    place = (
        "(() => { const box = document.querySelector('#differences .scroll'); box.scrollTo(200, 150);"
        " const at = box.getBoundingClientRect(), head = box.querySelector('thead').getBoundingClientRect(),"
        " name = box.querySelector('tbody th').getBoundingClientRect();"
        " return [box.scrollTop, head.top - at.top, name.left - at.left]; })()"
    )
    scrolled, head, name = browser.run(place)
    assert scrolled > 100 and abs(head) <= 1.5 and abs(name) <= 1.5


def test_follows_the_light_and_the_dark_scheme(browser, reports):
    colours = {}
    for dark in (False, True):
        browser.open(reports / "index.html", dark=dark)
        for property in ("color", "backgroundColor"):
            text = browser.run(f"getComputedStyle(document.body).{property}")
            colours[dark, property] = sum(int(part) for part in text[4:-1].split(","))
    assert colours[False, "backgroundColor"] > 700 > 150 > colours[False, "color"]
    assert colours[True, "backgroundColor"] < 100 < 600 < colours[True, "color"]


def test_tables_are_complete_without_the_script(browser, reports):
    (reports / "site" / "page.js").write_text("")
    browser.open(reports / "index.html")
    assert column(browser, SCORES, 2) == ["9.5 ± 0.7", "45.5 ± 0.7", "30.0"]
    assert browser.run("document.querySelectorAll('th button').length") == 0
    assert browser.run("document.querySelector('form').offsetParent") is None
