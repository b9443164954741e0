"""A new data set is one parser file: recognised, adopted, and under the rules it declares."""

import sys

import pytest

from dgreid.datasets import looks_like, parse, parsers, read_splits
from dgreid.datasets.adopt.archive import adopt
from dgreid.datasets.manifest import build, write_manifest
from dgreid.datasets.splits import identities
from dgreid.errors import UserError

PARSER = """
import re
from dgreid.datasets.layout import Layout, SplitSet
from dgreid.datasets.names import match_names
from dgreid.datasets.records import Parsed, of_camera_pair
from dgreid.datasets.splits import across_cameras

NAME = re.compile(r"^(?P<identity>\\d{2})_(?P<index>[12])\\.png$")
RAND10 = SplitSet("toy/rand10", count=10, frozen="HASH")
LAYOUT = Layout(
    title="Toy", tree="toy/01_1.png", nestings=("",), name=NAME, folders=("toy",), options=("odd",),
    split_sets=(RAND10,), single_shot=True,
)

def parse(root, options):
    rows = match_names(root, "toy", NAME, LAYOUT.title)
    images = [of_camera_pair(path, match, int(match["index"]) - 1) for path, match in rows]
    return Parsed(images, across_cameras(images, RAND10))
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """toy(hash): install the parser with this hash of its frozen splits."""

    def install(frozen):
        folder = tmp_path / f"parsers-{frozen[:4]}"
        folder.mkdir()
        (folder / "toy.py").write_text(PARSER.replace("HASH", frozen))
        monkeypatch.setattr(parsers, "__path__", [*parsers.__path__[:1], str(folder)])
        sys.modules.pop(f"{parsers.__name__}.toy", None)

    yield install
    sys.modules.pop(f"{parsers.__name__}.toy", None)


def test_a_parser_file_is_all_that_a_data_set_needs(toy, draw, config, tmp_path):
    folder = draw(tmp_path / "given", [f"toy/{i:02d}_{camera}.png" for i in range(8) for camera in (1, 2)])
    settings = config("toy", expect={"images": 16, "ids": 8}, options={"odd": 1})
    toy("0" * 64)
    assert looks_like(folder) == ["Toy"]
    root = adopt(settings, folder, tmp_path / "raw")
    with pytest.raises(UserError, match="toy/rand10 are not the frozen ones"):
        build(settings, root, parse(settings, root))
    found = identities(parse(settings, root), parsers.layout_of("toy").split_sets)  # as SplitSet says
    toy(found["toy/rand10"])
    write_manifest(tmp_path / "manifest", *build(settings, root, parse(settings, root)))
    assert read_splits(tmp_path / "manifest").split.nunique() == 10
