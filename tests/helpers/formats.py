"""Whether rendered tables are well-formed: HTML that closes its tags, LaTeX that would compile."""

import re
from html.parser import HTMLParser


class Outline(HTMLParser):
    """Checks that tags close, and counts the cells of every table row."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.widths = [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        self.stack.append(tag)
        if tag == "tr":
            self.widths.append(0)
        if tag in ("td", "th"):
            self.widths[-1] += int(dict(attributes).get("colspan", 1))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def check_latex(text):
    """Braces balance, environments close, every row has as many cells as the table has columns."""
    bare = re.sub(r"\\[{}&%$#_]", "", text)
    assert text.isascii()
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    body = bare.split("\n", 1)[1]  # the first line is a comment
    assert not set("%#_^~") & set(re.sub(r"\$[^$]*\$", "", body))
    assert re.findall(r"\\begin{(.*?)}", text) == ["table*", "tabular"] * text.count(r"\begin{table*}")
    assert text.count(r"\end{tabular}") == text.count(r"\end{table*}") == text.count(r"\begin{table*}")
    for table in bare.split(r"\begin{tabular}")[1:]:
        columns = re.match(r"{([lr]*)}", table)[1]
        for row in (part for part in table.split(r"\end{tabular}")[0].split("\n") if part.endswith(r"\\")):
            spans = [int(count) - 1 for count in re.findall(r"\\multicolumn{(\d+)}", row)]
            assert row.count("&") + sum(spans) == len(columns) - 1, row
