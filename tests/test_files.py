import os

import pytest

from dgreid.files import sha256, whole


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_takes_its_name_when_complete(tmp_path):
    with whole(tmp_path / "deep" / "a.txt") as part:
        part.write_text("new")
        assert not (tmp_path / "deep" / "a.txt").exists()
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"


def test_a_folder_replaces_a_folder(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    (target / "stale").touch()
    with whole(target) as part:
        part.mkdir()
        (part / "model").touch()
    assert os.listdir(target) == ["model"]
    assert os.listdir(tmp_path) == ["run"]


def test_sha256_of_known_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
