"""Texts are UTF-8 whatever the locale: every call that reads or writes one says so."""

import ast

import pytest

TEXTS = ("read_text", "write_text")


def unsaid(source: str) -> list[int]:
    """The lines that read or write text in the encoding of the locale."""
    return sorted(node.lineno for node in ast.walk(ast.parse(source)) if is_unsaid(node))


def is_unsaid(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name in TEXTS:
        return True
    if name != "open" or getattr(getattr(node.func, "value", None), "id", "") in (
        "os",
        "Image",
        "tarfile",
        "Pack",
    ):
        return False
    place = 0 if isinstance(node.func, ast.Attribute) else 1  # path.open(mode), open(path, mode)
    modes = node.args[place : place + 1]
    modes += [word.value for word in node.keywords if word.arg == "mode"]
    return not any("b" in getattr(mode, "value", "") for mode in modes)


@pytest.mark.parametrize("folder", ["src", "benchmarks", "studies"])
def test_every_text_has_its_encoding(root, folder):
    files = sorted((root / folder).rglob("*.py"))
    lines = {path: unsaid(path.read_text(encoding="utf-8")) for path in files}
    assert files and not {path: found for path, found in lines.items() if found}


@pytest.mark.parametrize(
    "call",
    ["p.read_text()", "p.write_text(x)", "open(p)", "open(p, 'w')", "p.open('a')", "open(p, mode='r')"],
)
def test_the_test_finds_them(call):
    said = call.replace("()", "(None)").replace(")", ", encoding='utf-8')")
    assert unsaid(call) == [1] and unsaid(said) == []
    assert unsaid("open(p, 'rb'); open(p, mode='wb'); p.open('ab'); p.read_bytes()") == []
