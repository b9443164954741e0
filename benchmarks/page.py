"""What the pages of docs/results share that are written from JSON results: reading, tables, writing."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path


def read(results: Path, name: str) -> dict:
    return json.loads((results / f"{name}.json").read_text(encoding="utf-8"))


def table(head: list[str], rows: list[list]) -> list[str]:
    """The lines of a Markdown table; all columns but the first are right-aligned."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines] + [""]


def write(page: Path, title: str, introduction: str, sections: Iterable[Callable[[], list[str]]]) -> None:
    """Write a page of sections, each given by a function that returns its lines."""
    lines = [f"# {title}", "", introduction, "", *(line for section in sections for line in section())]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
