"""The layers that docs/extend.md lists hold for every import of the package, late ones included."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from dgreid.networks import norms

ROOT = Path(__file__).parents[1]
LISTED = re.search(r"other flat modules · ([\w\s·]+?)\n\n", (ROOT / "docs/extend.md").read_text())[1]
LAYERS = re.split(r"\s*·\s*", LISTED)  # above the flat modules, from the bottom


def imports(source: Path) -> Iterator[tuple[str, str]]:
    """(module, what it imports of the package), by full names such as `dgreid.params.read`."""
    for file in sorted(source.rglob("*.py")):
        inside = file.relative_to(source.parent).with_suffix("").parts
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                above = inside[: -node.level] if node.level else ()
                names = [".".join([*above, *filter(None, [node.module]), each.name]) for each in node.names]
            elif isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            yield from ((".".join(inside), name) for name in names if name.startswith("dgreid."))


def check(source: Path) -> None:
    needed: dict[str, set[str]] = {}
    for module, name in imports(source):
        mine, other = module.split(".")[1], name.split(".")[1]
        rank, below = (LAYERS.index(part) + 1 if part in LAYERS else 0 for part in (mine, other))
        assert mine == other or below < rank or rank == below == 0, f"{module} imports {name}"
        assert other != "stages" or mine in ("stages", "cli"), f"{module} imports {name}"
        forwarded = name.startswith("dgreid.networks.norms.") and name.split(".")[3] in norms.__all__
        assert not forwarded, f"{module} imports {name}, which norms/__init__.py only forwards"
        needed.setdefault(mine, set()).update({other} - {mine})
    TopologicalSorter(needed).prepare()  # the flat modules have no cycle either


def test_every_import_leads_downwards():
    folders = {path.parent.name for path in (ROOT / "src/dgreid").glob("*/__init__.py")}
    assert folders == set(LAYERS)
    check(ROOT / "src/dgreid")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("datasets/late.py", "def f():\n    from dgreid.protocols import build"),
        ("images/up.py", "from ..methods import erm"),
        ("params.py", "import dgreid.runs.config"),
        ("selection/do.py", "from dgreid.stages.train import train"),
        ("methods/lazy.py", "from dgreid.networks.norms import convert_norms"),
        ("schema.py", "from dgreid import params"),  # params needs schema
    ],
)
def test_a_forbidden_import_is_found(tmp_path, file, text):
    for name, content in {"params.py": "from dgreid import schema", file: text}.items():
        (tmp_path / "dgreid" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dgreid" / name).write_text(content)
    with pytest.raises((AssertionError, CycleError)):
        check(tmp_path / "dgreid")
