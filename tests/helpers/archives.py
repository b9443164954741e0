"""Archives of a few members, and what is said of bad ones."""

import zipfile

import pytest

from dgreid.datasets.adopt.extract import extract
from dgreid.errors import UserError


def zipped(path, *members):
    with zipfile.ZipFile(path, "w") as file:
        for member, content in members:
            file.writestr(member, content)
    return path


def refused(archive, to, match):
    with pytest.raises(UserError, match=match) as error:
        extract(archive, to)
    assert not to.exists()
    assert sorted(path.name for path in to.parent.iterdir()) == [archive.name]
    assert "\n" not in str(error.value)
