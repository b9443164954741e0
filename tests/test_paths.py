import re
from pathlib import Path

import yaml

from dgreid import paths

DIRECT = {"reports/index.html", "reports/site"}  # the page's entry and the rest of it


def named(node: object) -> set[str]:
    """The paths below data/ and reports/ that the stages of dvc.yaml name."""
    if isinstance(node, dict):
        return {path for key, value in node.items() if key != "cmd" for path in named([key, value])}
    if isinstance(node, list):
        return {path for entry in node for path in named(entry)}
    return {node} if isinstance(node, str) and re.match(r"(data|reports)/", node) else set()


def test_dvc_yaml_names_the_places_that_paths_names(root):
    found = named(yaml.safe_load((root / "dvc.yaml").read_text())["stages"]) - DIRECT
    assert len(found) > 20
    places = {value for value in vars(paths).values() if isinstance(value, Path)} - {
        paths.DATA,
        paths.REPORTS,
    }
    for path in found:
        assert places & {Path(path), *Path(path).parents}, f"{path} of dvc.yaml is not in paths.py"


def test_no_other_module_makes_a_path_below_these_folders(root):
    literal = re.compile(r"Path\(f?[\"'](data|reports|logs|params)\b")
    for file in (root / "src/dgreid").rglob("*.py"):
        if file.name != "paths.py":
            assert not literal.search(file.read_text()), f"{file} spells out a place of paths.py"
