import errno
import os
import subprocess
import sys

import pytest

from dgreid import sealed
from dgreid.errors import UserError
from dgreid.files import FILES_SYNCED_SINGLY, amount, check_room, sha256, whole


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


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path, kind):
    """Whichever library writes, and however it wraps the error."""
    with pytest.raises(OSError) as raised, whole(tmp_path / "a.txt") as part:
        if kind == "folder":
            part.mkdir()
            part = part / "inside"
        try:
            part.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("unexpected pos 64 vs 0") from error
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "a.txt"))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError) as raised, whole(tmp_path / "file" / "a.txt"):
        pass
    assert raised.value.filename == str(tmp_path / "file")


def test_a_sentence_of_ours_passes_as_it_is(tmp_path):
    with pytest.raises(UserError, match="mine"), whole(tmp_path / "a.txt"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise UserError("mine") from error


@pytest.mark.parametrize(("names", "synced"), [(2, 4), (FILES_SYNCED_SINGLY + 1, 1)])
def test_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch, names, synced):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append(os.readlink(f"/proc/self/fd/{handle}")))
    monkeypatch.setattr(os, "sync", lambda: calls.append("everything"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("name") or replace(*paths))
    with whole(tmp_path / "run") as part:
        part.mkdir()
        for number in range(names):
            (part / str(number)).touch()
    assert calls.index("name") == synced - (names == 2) and calls[-1] == str(tmp_path)


@pytest.mark.parametrize("size", [1, 999, 1000, 999_499, 999_501, 12_345_678, 10**13, 5 * 10**15])
def test_an_amount_has_useful_digits(size):
    number, unit = amount(size).split()
    factor = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(number) * factor == pytest.approx(size, rel=0.05) and len(number) <= 5


def test_room_is_looked_for_where_the_file_will_lie(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 12_345_678}))
    monkeypatch.chdir(tmp_path)
    check_room("data/raw/grid", 12_345_678, "grid.zip")
    (tmp_path / "data" / "raw" / ".tmp-grid").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^grid\.zip needs 23\.5 MB and data/raw has 12\.3 MB free"):
        check_room("data/raw/.tmp-grid/files", 23_456_789, "grid.zip")


def test_a_pipe_is_neither_replaced_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is a pipe or a device"), whole(tmp_path / "pipe") as part:
        part.write_text("new")
    assert (tmp_path / "pipe").is_fifo() and len(list(tmp_path.iterdir())) == 1
    for read in (sealed.read_json, sealed.read_yaml, sealed.check, sealed.read_table):
        with pytest.raises(UserError, match="pipe is a pipe or a device"):
            read(tmp_path / "pipe")
