import hashlib

import pytest

from dgreid.errors import UserError
from dgreid.imports import Sources, digest

FILES = {
    "__init__.py": '"""The package."""\nfrom pack import everything',
    "one.py": "from pack.low import two",
    "everything.py": "",
    "low/__init__.py": "from pack.low import three",
    "low/two.py": "def late():\n    if True:\n        import pack.low.four\n",
    "low/three.py": "",
    "low/four.py": "from pack import one\nfrom . import five\nfrom ..high import NAME\nimport numpy",
    "low/five.py": "",
    "high/__init__.py": "from .six import NAME",
    "high/six.py": "NAME = 1",
    "alone.py": "",
}


@pytest.fixture
def package(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "pack"


def closure(package, *modules, **options):
    return [name.removeprefix("pack/") for name in Sources(package).closure(modules, **options)]


def test_imports_are_followed_to_the_end_late_and_relative_ones_too(package):
    expected = ["high/__init__.py", "high/six.py", "low/five.py", "low/four.py", "low/two.py", "one.py"]
    assert closure(package, "pack.one") == expected


def test_a_package_counts_only_if_something_is_imported_from_it(package):
    assert "low/__init__.py" not in closure(package, "pack.low.two")
    assert closure(package, "pack.low") == ["low/__init__.py", "low/three.py"]


def test_what_is_left_out_is_not_followed(package):
    assert closure(package, "pack.one", leave_out=["pack.low"]) == ["one.py"]
    assert closure(package, "pack.one", leave_out=["pack.hi", "pack.low.tw"]) == closure(package, "pack.one")


def test_names_without_a_file_are_skipped(package):
    assert closure(package, "pack.low.batch", "numpy", "pack.alone") == ["alone.py"]


def test_a_broken_file_is_one_sentence(package):
    (package / "low/two.py").write_text("def f(:\n")
    with pytest.raises(UserError, match=r"low/two\.py, line 1: .*; fix that") as caught:
        closure(package, "pack.one")
    assert "\n" not in str(caught.value)


CODE = """'A module.'
import os  # why

class A:
    'A class: é.'

    value: int = 1  # unit: "px"

    def method(self):
        '''Do it.

        Twice.
        '''
        text = '''two

lines # no comment'''
        return text, f'''{self.value}

        # {text!r}'''  # both
"""
ESSENCE = """import os
class A:
    value: int = 1
    def method(self):
        text = '''two

lines # no comment'''
        return text, f'''{self.value}

        # {text!r}'''
"""


def of(tmp_path, text: str) -> str:
    path = tmp_path / "code.py"
    path.write_text(text)
    return digest(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # why", ""),
        ('  # unit: "px"', "    # another"),
        ("'A module.'\n", ""),
        ("'A class: é.'", "'''Longer: ü.\n\n    Much.\n    '''  # é"),
        ("Twice.", "Three times.\n\n        Or more."),
        ("import os", "\n\n\nimport os"),
        ("int = 1", "int = 1   "),
    ],
)
def test_comments_docstrings_and_blank_space_do_not_count(tmp_path, old, new):
    assert old in CODE
    assert of(tmp_path, CODE.replace(old, new, 1)) == of(tmp_path, CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int = 1", "int = 2"),
        ("lines # no comment", "lines"),
        ("two\n\nlines", "two\nlines"),
        ("two\n", "two \n"),
        ("# {text!r}", "{text!r}"),
        ("        return", "    return"),
    ],
)
def test_everything_else_counts(tmp_path, old, new):
    assert old in CODE
    assert of(tmp_path, CODE.replace(old, new, 1)) != of(tmp_path, CODE)


def test_the_digest_is_of_the_lines_that_do_something(tmp_path):
    assert of(tmp_path, CODE) == hashlib.sha256(ESSENCE.encode()).hexdigest()
