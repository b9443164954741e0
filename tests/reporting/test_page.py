from html.parser import HTMLParser

from dgreid.reporting import tables
from dgreid.reporting.page import page

VOID = {"meta", "img", "br", "link", "input"}


class Outline(HTMLParser):
    """Checks that tags close, and counts the cells of every table row."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.widths, self.targets = [], [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "tr":
            self.widths.append(0)
        if tag in ("td", "th"):
            self.widths[-1] += int(attributes.get("colspan", 1))
        self.targets += [attributes[key] for key in ("href", "src") if key in attributes]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def render(make, select, has_balance=True):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 45.0)]
    content = tables.blocks(select(runs), {run["run"]: run for run in runs})
    return page("toy", "A <toy> & its title", content, [run["run"] for run in runs], has_balance)


def test_page_is_well_formed_and_escaped(root, make, select):
    text = render(make, select)
    outline = Outline(text)
    assert "A &lt;toy&gt; &amp; its title" in text and "<toy>" not in text
    # own scores: two heads and two rows of equal width; cost; printed rows
    assert outline.widths[:4] == [4 + 2 + 8] * 4
    assert outline.widths[7:] == [2 + 2 + 16] * 12


def test_page_needs_no_network_and_links_what_the_stage_writes(root, make, select):
    targets = Outline(render(make, select)).targets
    assert not [target for target in targets if "//" in target or target.startswith("/")]
    assert {"tables/toy.md", "tables/toy.csv", "tables/toy.tex", "figures/toy-balance.png"} <= set(targets)
    assert "metrics/erm-tiny-toy-s0.json" in targets


def test_page_says_the_data_kind_and_what_is_not_there(root, make, select):
    text = render(make, select, has_balance=False)
    assert "miniature data" in text and "not comparable" in text
    assert "No run of this selection has balance parameters." in text and "<img" not in text
