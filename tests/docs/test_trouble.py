"""docs/trouble.md quotes what the program says."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/trouble.md").read_text()
FIRST = [line.split(" | ")[0].removeprefix("| ") for line in PAGE.splitlines() if line.startswith("| `")]
SENTENCES = [
    quote
    for cell in FIRST
    for quote in re.findall(r"`((?:[^`]|`--cores`)+)`", cell)
    if "..." in quote or " " in quote
]
GAP = "\0"  # where a value stands


@cache
def said() -> str:
    """All texts of the source code, one per line, with gaps for values."""
    texts = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub(r"%[sd]|%\.\df", GAP, node.value))
    return "\n".join(texts)


def test_the_page_has_sentences():
    assert len(SENTENCES) > 40


@pytest.mark.parametrize("sentence", SENTENCES)
def test_every_quoted_sentence_is_one_that_the_program_says(sentence):
    parts = [part for part in sentence.split("...") if part.strip(" :;,.")]
    pattern = "[^\n]*".join(re.escape(part.strip()) for part in parts)
    text = said().replace(GAP, "")
    text = re.sub(r"  +", " ", text)
    assert re.search(re.sub(r"(\\ )+", " ", pattern), text), sentence
