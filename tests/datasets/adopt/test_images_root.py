import shutil

import pytest

from dgreid.datasets.adopt import archive
from dgreid.datasets.config import DatasetConfig
from dgreid.errors import UserError


@pytest.fixture
def drawn(monkeypatch, market, tmp_path):
    """A drawn data set whose archive lies in archives/."""
    node = {"name": "mini", "title": "Mini", "parser": "market1501", "access": "drawn"}
    monkeypatch.setattr(archive, "load_dataset", lambda name: DatasetConfig(**node))
    (tmp_path / "archives").mkdir()
    return shutil.copy(market, tmp_path / "archives/mini.zip")


def test_images_root_adopts_a_drawn_archive_once_and_again_when_redrawn(
    drawn, draw, tmp_path, monkeypatch, pack
):
    calls = []
    adopt = archive.adopt
    monkeypatch.setattr(archive, "adopt", lambda *args, **kw: calls.append(args) or adopt(*args, **kw))
    first = archive.images_root("mini", tmp_path / "raw", tmp_path / "archives")
    assert archive.images_root("mini", tmp_path / "raw", tmp_path / "archives") == first
    assert len(calls) == 1
    folder = draw(tmp_path / "new", ["query/0003_c4s3_000341_02.jpg"])
    pack(folder, drawn)
    again = archive.images_root("mini", tmp_path / "raw", tmp_path / "archives")
    assert len(calls) == 2
    assert [path.name for path in again.iterdir()] == ["query"]


def test_images_root_without_data_says_what_to_do(root, tmp_path):
    with pytest.raises(UserError, match="dgreid adopt market1501 --from PATH"):
        archive.images_root("market1501", tmp_path / "raw", tmp_path / "archives")
    with pytest.raises(UserError, match="dgreid synthesize dataset=mini_grid"):
        archive.images_root("mini_grid", tmp_path / "raw", tmp_path / "archives")


def test_images_root_whose_linked_folder_is_gone(root, layouts, config, tmp_path):
    folder = layouts("grid")
    archive.adopt(config("grid"), folder, tmp_path / "raw")
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="is gone"):
        archive.images_root("grid", tmp_path / "raw", tmp_path / "archives")
