import os
import subprocess
import sys

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


def test_a_link_replaces_a_link_and_a_folder_replaces_a_dangling_one(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with whole(tmp_path / "link") as part:
            part.symlink_to(tmp_path / name)
    assert (tmp_path / "link").readlink() == tmp_path / "b"
    (tmp_path / "b").rmdir()
    with whole(tmp_path / "link") as part:
        part.mkdir()
    assert not (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["a", "link"]


def test_what_a_killed_process_left_is_removed_by_the_next_write_of_the_same_target(tmp_path):
    killed = """
import os, signal, sys
from dgreid.files import whole
writes = [whole(os.path.join(sys.argv[1], name)) for name in ("a.txt", "b.txt")]
for write in writes:
    write.__enter__().write_text("half")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", killed, str(tmp_path)]).returncode == -9
    assert len(os.listdir(tmp_path)) == 2 and not (tmp_path / "a.txt").exists()
    with whole(tmp_path / "a.txt") as part:
        part.write_text("new")
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 2 and left[0].startswith(".tmp-b.txt-") and left[1] == "a.txt"


def test_writes_in_progress_and_those_of_other_hosts_are_left_alone(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    foreign = tmp_path / f".tmp-a.txt-otherhost-{gone.pid}-abc"
    foreign.mkdir()
    with whole(tmp_path / "a.txt") as slow:
        slow.write_text("first")
        with whole(tmp_path / "a.txt") as quick:  # as another process of this host would
            quick.write_text("second")
        assert slow.exists()
    assert (tmp_path / "a.txt").read_text() == "first"
    assert sorted(os.listdir(tmp_path)) == [foreign.name, "a.txt"]
