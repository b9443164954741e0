"""Folders as registries: what counts, what is refused, and that listing imports nothing."""

import subprocess
import sys

import pytest

from dgreid import methods
from dgreid.datasets import parsers
from dgreid.errors import UserError
from dgreid.images import operations
from dgreid.miniature import writers
from dgreid.networks import backbones
from dgreid.networks.norms import convert
from dgreid.registry import Registry
from dgreid.reporting import figures

FOLDERS = [
    methods.METHODS,
    backbones.ARCHITECTURES,
    convert.NORMS,
    operations.OPERATIONS,
    parsers.PARSERS,
    writers.WRITERS,
    figures.FIGURES,
]
FILES = {
    "__init__.py": "",
    "plain.py": "MARK = 1\nOTHER = 2\n",
    "pair.py": "MARK, OTHER = 1, 2\n",
    "typed.py": "MARK: int = 1\nOTHER = 2\n",
    "function.py": "def MARK(): ...\nclass OTHER: ...\n",
    "imported.py": "from math import pi as MARK, e as OTHER\n",
    "either.py": "try:\n    MARK = OTHER = 1\nexcept ValueError:\n    pass\n",
    "half.py": "MARK = 1\n",
    "helper.py": '"""A text:\n\nMARK = 1\n"""\ndef f():\n    MARK = 2\n',
    "broken.py": "MARK = (\n",
    "_private.py": "MARK = 1\nOTHER = 2\n",
    ".#plain.py": "MARK = 1\n",
    "not-a-name.py": "MARK = 1\n",
    "inside/__init__.py": "MARK = 1\n",
}
WHOLE = ["either", "function", "imported", "pair", "plain", "typed"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package of its own for every test."""
    name = f"folder_{tmp_path.name}"
    for file, text in FILES.items():
        path = tmp_path / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return Registry(name, "thing", ("MARK", "OTHER"), beside=("nothing",))


def test_a_file_counts_by_what_it_defines_and_none_is_imported(folder):
    assert folder.names() == sorted([*WHOLE, "broken", "half", "nothing"])
    assert not any(module.startswith(f"{folder.package}.") for module in sys.modules)


@pytest.mark.parametrize("name", WHOLE)
def test_a_module_comes_by_its_name(folder, name):
    assert folder.module(name).MARK is not None
    loaded = [module for module in sys.modules if module.startswith(f"{folder.package}.")]
    assert loaded == [f"{folder.package}.{name}"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("plian", "unknown thing 'plian': did you mean 'plain'? Known: broken, either"),
        ("nothing", "unknown thing 'nothing'"),
        ("inside", "unknown thing 'inside'"),
        ("_private", "unknown thing '_private'"),
        ("../plain", "unknown thing '../plain'"),
        (["plain"], "unknown thing"),
        (None, "unknown thing 'None'"),
        ("helper", "helper.py defines no MARK: add it"),
        ("half", "half.py defines no OTHER: add it"),
        ("broken", "broken.py, line 1: '(' was never closed; fix that."),
    ],
)
def test_what_is_no_such_module_is_one_sentence(folder, name, sentence):
    with pytest.raises(UserError) as caught:
        folder.module(name)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_the_place_in_params_is_named(folder):
    with pytest.raises(UserError, match=r"unknown thing of image\.train\.0 'x'"):
        folder.module("x", "image.train.0")


@pytest.mark.parametrize("shipped", FOLDERS, ids=lambda each: each.package)
def test_every_shipped_module_is_whole(shipped):
    names = set(shipped.names()) - set(shipped.beside)
    assert names
    for name in names:
        assert shipped.module(name).__name__ == f"{shipped.package}.{name}"


def test_a_file_without_its_mark_is_named_as_such():
    for name, sentence in (("base", "methods/base.py defines no METHOD"), ("erm_", "did you mean 'erm'")):
        with pytest.raises(UserError, match=sentence):
            methods.module(name)
    with pytest.raises(UserError, match=r"^src/dgreid/networks/norms/fused\.py defines no LAYER: add it"):
        convert.module("fused")
    with pytest.raises(UserError, match=r"Known: batch, bin"):
        convert.module("bni")


def test_one_method_is_imported_without_the_others():
    code = (
        "import sys; from dgreid import methods; from dgreid.networks import backbones\n"
        "methods.module('erm'), backbones.module('resnet_tiny'), methods.names()\n"
        "print(*(name for name in sys.modules if name.startswith('dgreid.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"dgreid.methods.erm", "dgreid.networks.backbones.resnet_tiny"} <= loaded
    others = {f"dgreid.methods.{name}" for name in methods.names()} - {"dgreid.methods.erm"}
    others |= {"dgreid.networks.backbones.resnet", "dgreid.networks.backbones.mobilenet_v2"}
    assert not loaded & others
