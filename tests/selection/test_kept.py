from pathlib import Path

import pytest

from dgreid.selection import kept

ITEM = "train@mine"
OUTPUTS = ["data/model", "data/folder"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A file and a folder, the outputs of an item."""
    monkeypatch.chdir(tmp_path)
    Path("data/folder/deep").mkdir(parents=True)
    Path("data/model").write_text("old")
    Path("data/folder/deep/a").write_text("old")


def remove():
    Path("data/model").unlink()
    Path("data/folder/deep/a").unlink()


def contents():
    return {str(path): path.read_text() for path in Path("data").rglob("*") if path.is_file()}


def begun():
    """What a job leaves that did not come to its end."""
    remove()
    Path("data/model").write_text("half")


def test_outputs_come_back_if_the_block_fails():
    before = contents()
    with pytest.raises(RuntimeError), kept.safe(ITEM, OUTPUTS):
        begun()
        raise RuntimeError
    assert contents() == before and not list(kept.KEPT.iterdir())


def test_outputs_are_new_if_it_does_not():
    with kept.safe(ITEM, OUTPUTS):
        Path("data/model").unlink()
        Path("data/model").write_text("new")
    assert Path("data/model").read_text() == "new" and not list(kept.KEPT.iterdir())


def test_what_was_not_there_is_not_made(tmp_path):
    with pytest.raises(RuntimeError), kept.safe(ITEM, [*OUTPUTS, "data/more"]):
        Path("data/more").touch()
        raise RuntimeError
    assert Path("data/more").exists()  # it was no output of before; the front end removes it


def test_after_a_kill_outputs_come_back_if_one_is_missing():
    before = contents()
    kept.keep(ITEM, OUTPUTS)
    remove()
    kept.put_all_back()
    assert contents() == before and not list(kept.KEPT.iterdir())


def test_after_a_kill_outputs_that_are_all_there_stay():
    kept.keep(ITEM, OUTPUTS)
    Path("data/model").unlink()
    Path("data/model").write_text("new")
    kept.put_all_back()
    assert Path("data/model").read_text() == "new" and not list(kept.KEPT.iterdir())


def test_keeping_copies_nothing_and_keeps_the_last_state_alone():
    kept.keep(ITEM, OUTPUTS)
    assert Path("data/model").stat().st_nlink == 2
    Path("data/model").unlink()
    Path("data/model").write_text("newer")
    kept.keep(ITEM, OUTPUTS)
    remove()
    kept.put_back(ITEM)
    assert Path("data/model").read_text() == "newer"


def test_a_link_comes_back_as_a_link():
    Path("far").mkdir()
    Path("data/link").symlink_to("../far")
    kept.keep(ITEM, ["data/link"])
    Path("data/link").unlink()
    kept.put_back(ITEM)
    assert Path("data/link").is_symlink() and Path("data/link").resolve() == Path("far").resolve()


def test_a_room_that_a_kill_left_unfinished_counts_for_nothing():
    room = kept.KEPT / ITEM
    room.mkdir(parents=True)
    (room / "0").write_text("half")
    kept.put_all_back()
    assert Path("data/model").read_text() == "old" and not list(kept.KEPT.iterdir())
