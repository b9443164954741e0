"""A copy of src/ and params/ whose files tests edit, and a selection of a few runs."""

import shutil
from pathlib import Path

from dgreid.imports import Sources
from dgreid.selection import code

ROOT = Path(__file__).parents[2]
ERM, METABIN, MOBILE = (
    "erm-resnet_tiny-miniature-s0",
    "metabin-resnet_tiny-miniature-s0",
    "erm-mobilenet_v2_x0_25-miniature-s0",
)
BLOCKS = [
    {
        "methods": ["erm", "metabin"],
        "backbones": ["resnet_tiny"],
        "protocols": ["miniature"],
        "seeds": [0, 1],
    },
    {
        "methods": ["erm"],
        "backbones": ["mobilenet_v2_x0_25"],
        "protocols": ["miniature", "miniature_single"],
        "seeds": [0],
    },
    {
        "methods": ["erm"],
        "backbones": ["resnet_tiny"],
        "protocols": ["miniature"],
        "seeds": [0],
        "image": "256x128_jitter",
    },
]


class Project:
    """A copy of src/ and params/, as working folder."""

    def __init__(self, folder: Path, selected: dict, composed: dict):
        self.folder, self.matrix, self.composed = folder, selected, composed
        shutil.copytree(ROOT / "src" / "dgreid", folder / "src" / "dgreid")
        shutil.copytree(ROOT / "params", folder / "params")

    def source(self, name: str, text: str) -> None:
        """Append to a source file, or add it."""
        path = self.folder / "src" / "dgreid" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(text)

    def items(self) -> dict[str, dict]:
        """The items of the selection; its runs are composed again only if a file of params/ is another."""
        same = contents(self.folder / "params") == contents(ROOT / "params")
        sources = Sources(self.folder / "src" / "dgreid")
        return dict(code.items(self.matrix, sources, self.composed if same else None))


def contents(folder: Path) -> dict[Path, bytes]:
    """The bytes of every file in a folder, by relative path."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
