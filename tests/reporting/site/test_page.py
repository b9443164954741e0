import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dgreid.reporting.agreement import compare
from dgreid.reporting.figures import Figure
from dgreid.reporting.site import page
from dgreid.reporting.site.material import Paper

VOID = {"meta", "img", "br", "link", "input"}
FRAGMENT = (
    '<h2>MetaBIN, Table 9. A &lt;test&gt;</h2>\n<div class="scroll"><table><tbody></tbody></table></div>\n'
)


class Outline(HTMLParser):
    """Checks that tags close and that ids are unique; keeps links, row widths and the tags themselves."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.widths, self.targets, self.tags = [], [], [], []
        self.feed(text)
        assert self.stack == []
        ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self.widths.append([])
        if tag == "tr":
            self.widths[-1].append(0)
        if tag in ("td", "th"):
            self.widths[-1][-1] += int(attributes.get("colspan", 1))
        self.targets += [attributes[key] for key in ("href", "src") if key in attributes]

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def runs(make):
    few = [
        make(method, seed, score + seed)
        for method, score in (("erm", 40.0), ("metabin", 45.0))
        for seed in (0, 1)
    ]
    return [*few, make("erm", 0, 12.0, data="full", protocol="other")]


@pytest.fixture
def material(root, runs, gather):
    return gather(
        runs[:4],
        runs,
        papers=[Paper("metabin_t9", "MetaBIN, Table 9. A <test>", FRAGMENT)],
        figures=[Figure("balance", "Balance", "What it shows.", Path("reports/figures/toy/balance"))],
    )


@pytest.fixture
def pages(material):
    return dict(page.site(material))


def test_every_page_is_well_formed_and_escaped(pages):
    html = {path: text for path, text in pages.items() if path.endswith(".html")}
    assert len(html) == 1 + 2 + 1 + 5  # overview; lists of tables and of runs; a table; the runs
    for text in html.values():
        for table in Outline(text).widths:
            assert len(set(table)) <= 1  # every row of a table is as wide as the others
    assert "A &lt;toy&gt; &amp; its title" in html["index.html"] and "<toy>" not in html["index.html"]
    assert (
        html["site/papers/metabin_t9.html"].count("A &lt;test&gt;") == 1
    )  # said once, as the page's heading


def test_every_link_leads_to_a_page_or_to_what_the_stage_writes(pages):
    elsewhere = set()
    for path, text in pages.items():
        if not path.endswith(".html"):
            continue
        for target in Outline(text).targets:
            assert "//" not in target and not target.startswith("/")
            if target.startswith("#"):
                continue
            reached = (Path("/r") / path).parent.joinpath(target)
            found = str(reached.resolve().relative_to("/r"))
            if found not in pages:
                elsewhere.add(found)
    written = {f"tables/toy{end}" for end in (".md", ".csv", ".tex", "-differences.md", "-differences.csv")}
    written |= {f"papers/metabin_t9.{suffix}" for suffix in ("md", "csv", "tex")}
    written |= {f"figures/toy/balance.{suffix}" for suffix in ("png", "pdf", "csv")}
    assert elsewhere - {name for name in elsewhere if name.startswith("metrics/")} == written
    assert len([name for name in elsewhere if name.startswith("metrics/")]) == 5


def test_no_page_knows_the_time_or_the_machine(material, pages):
    assert dict(page.site(material)) == pages
    for path, text in pages.items():
        assert str(Path.cwd()) not in text
        if path.endswith(".html"):
            assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text)


def test_the_overview_says_what_ran_on_which_data_at_what_cost(pages):
    text = pages["index.html"]
    assert "4" in text and "2 methods, seeds 0, 1" in text and "miniature data" in text
    assert "40 s" in text and "100" in text and "1 MiB" in text  # four runs of ten seconds
    assert "no number here can be compared with a published one" in text
    assert "erm-tiny-other-s0" not in text  # a run of another selection


def test_differences_are_rows_with_their_intervals(pages, material):
    outline = Outline(pages["index.html"])
    rows = [row for row in outline.all("tr") if row.get("data-method") == "metabin" and "data-target" in row]
    assert len(rows) == len(material.gaps) == 2 * 3
    assert [row["data-target"] for row in rows] == [
        "Average",
        "Average",
        "VIPeR",
        "i_LIDS",
        "VIPeR",
        "i_LIDS",
    ]
    assert "<td>+5.0</td>" in pages["index.html"].replace(' class=""', "").replace(' class="up"', "")


def test_the_overview_says_how_the_runs_agree_with_committed_ones_and_names_those_that_differ(
    runs, gather, root
):
    moved = [run | {"average": {**run["average"], "mAP": 60.0}} for run in runs[:2]] + runs[2:]
    compared = compare({run["run"]: run for run in moved}, {run["run"]: run for run in runs})
    html = dict(page.site(gather(runs, agreements=compared)))["index.html"]
    (section,) = re.findall(r'<section id="agreement">.*?</section>', html, re.S)
    assert "Equal to the results of the last commit in all digits: 3 of 5 runs; 2 outside." in section
    assert re.findall(r'href="site/runs/([^"]*)\.html"', section) == [run["run"] for run in runs[:2]]
    assert 'id="agreement"' not in dict(page.site(gather(runs)))["index.html"]


def test_without_a_baseline_there_is_no_table_of_differences(root, make, gather):
    text = dict(page.site(gather([make("metabin", 0, 45.0)])))["index.html"]
    assert "Against the baseline" not in text and "has nothing that a figure shows" in text


def test_rows_and_columns_say_what_filters_ask_for(pages):
    outline = Outline(pages["index.html"])
    names = {select["name"] for select in outline.all("select")}
    assert names == {"method", "target"}  # one backbone, protocol and data kind: nothing to choose
    columns = {head["data-target"] for head in outline.all("th") if "data-target" in head}
    assert columns == {"Average", "VIPeR", "i_LIDS"}
    listed = Outline(pages["site/runs.html"])
    assert {select["name"] for select in listed.all("select")} == {"method", "protocol", "data"}
    assert [row["data-data"] for row in listed.all("tr") if "data-data" in row] == [
        *["miniature"] * 4,
        "full",
    ]


def test_without_a_script_no_control_is_shown_that_does_nothing(pages):
    for text in pages.values():
        for form in Outline(text).all("form") if text.startswith("<!doctype") else []:
            assert "hidden" in form
    assert "<th><button" not in "".join(pages.values())


def test_pictures_have_a_text(pages):
    for path, text in pages.items():
        if path.endswith(".html"):
            outline = Outline(text)
            assert all(image["alt"] for image in outline.all("img"))
            assert all(drawing["aria-label"] for drawing in outline.all("svg"))


def test_scrolling_tables_are_reached_and_named(pages):
    boxes = [box for box in Outline(pages["index.html"]).all("div") if box.get("class") == "scroll"]
    assert boxes and all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)


def test_what_an_earlier_selection_left_goes(material, tmp_path):
    (tmp_path / "site" / "runs").mkdir(parents=True)
    (tmp_path / "site" / "runs" / "old.html").touch()
    page.write(material, tmp_path)
    assert not (tmp_path / "site" / "runs" / "old.html").exists()
    assert (tmp_path / "index.html").read_text() == dict(page.site(material))["index.html"]
