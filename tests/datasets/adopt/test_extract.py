import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from dgreid.datasets.adopt.extract import archives, check_whole, extract
from dgreid.errors import UserError
from helpers.archives import refused, zipped

BAD_NAMES = ["../evil.txt", "/etc/evil.txt", "ok/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"]


def tarred(path, *members, mode="w"):
    with tarfile.open(path, mode) as file:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            member.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            file.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", [None, "w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("kept", [0.98, 0.6, 0.3])
def test_a_truncated_archive_is_told_from_a_whole_one(tmp_path, mode, kept):
    content = np.random.default_rng(0).bytes(60_000)
    if mode is None:
        path = zipped(tmp_path / "a.zip", ("a/1.jpg", content), ("a/2.jpg", content[::-1]))
    else:
        members = [(f"a/{n}.jpg", tarfile.REGTYPE, content[::n]) for n in (1, -1)]
        path = tarred(tmp_path / "a.tar", *members, mode=mode)
    check_whole(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * 120_000)])
    with pytest.raises(UserError, match="truncated"):
        check_whole(path)


def test_a_zip_with_a_damaged_member_is_not_whole(tmp_path):
    content = np.random.default_rng(0).bytes(60_000)
    path = zipped(tmp_path / "a.zip", ("a/1.jpg", content))
    damaged = bytearray(path.read_bytes())
    damaged[30_000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"damaged archive \(bad member a/1\.jpg\)"):
        check_whole(path)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(tmp_path, mode):
    archive = tarred(tmp_path / "a.tar", ("x/y.txt", tarfile.REGTYPE, b"hello"), mode=mode)
    extract(archive, tmp_path / "out")
    assert (tmp_path / "out/x/y.txt").read_bytes() == b"hello"


def test_zip_without_the_clutter_of_macos(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("x/y.jpg", b"1"), ("__MACOSX/x/._y.jpg", b"2"), ("x/._y.jpg", b"3"))
    extract(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["y.jpg"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_zip_member_outside(tmp_path, name):
    archive = zipped(tmp_path / "a.zip", ("good.txt", b"1"), (name, b"2"))
    refused(archive, tmp_path / "out", "outside the folder")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_tar_member_outside(tmp_path, name):
    archive = tarred(tmp_path / "a.tar", ("good.txt", tarfile.REGTYPE, b""), (name, tarfile.REGTYPE, b""))
    refused(archive, tmp_path / "out", "outside the folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_tar_link_or_device(tmp_path, kind):
    archive = tarred(tmp_path / "a.tar", ("good.txt", tarfile.REGTYPE, b""), ("bad", kind, b""))
    refused(archive, tmp_path / "out", "link or a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR])
def test_zip_link_or_device(tmp_path, kind):
    link = zipfile.ZipInfo("bad")
    link.external_attr = (kind | 0o777) << 16
    archive = zipped(tmp_path / "a.zip", ("good.txt", b"1"), (link, "/etc/passwd"))
    refused(archive, tmp_path / "out", "link or a device")


def test_truncated_zip(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("good.txt", b"1" * 1000))
    archive.write_bytes(archive.read_bytes()[:-30])
    refused(archive, tmp_path / "out", "truncated download")


def test_damaged_zip(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("good.txt", b"1" * 1000))
    content = bytearray(archive.read_bytes())
    content[500] ^= 255
    archive.write_bytes(content)
    with pytest.raises(UserError, match="truncated or damaged"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_truncated_tar(tmp_path, mode):
    content = bytes(range(256)) * 400
    archive = tarred(tmp_path / "a.tar", ("good.txt", tarfile.REGTYPE, content), mode=mode)
    archive.write_bytes(archive.read_bytes()[: 500 if mode == "w:gz" else 60_000])
    refused(archive, tmp_path / "out", "truncated or damaged")


def test_encrypted_zip(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("good.txt", b"1"))
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    archive.write_bytes(content)
    refused(archive, tmp_path / "out", "encrypted")


def test_more_than_the_disk_holds(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", ("good.txt", b"1" * 1000))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    refused(archive, tmp_path / "out", "a.zip needs 1.0 kB and .* has 10 bytes free")


def test_backslashes_in_a_zip_are_slashes(tmp_path):
    archive = zipped(
        tmp_path / "a.zip", ("x\\y\\z.txt", b"1"), ("x\\empty\\", b""), ("__MACOSX\\x\\._z.txt", b"2")
    )
    extract(archive, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.txt")] == [
        "x/y/z.txt"
    ]


def test_a_title_names_the_archive_in_messages(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("../x", b"1"))
    with pytest.raises(UserError, match=r"^outer\.zip/a\.zip: refused"):
        extract(archive, tmp_path / "out", "outer.zip/a.zip")


def test_archives_at_any_depth_but_no_clutter(tmp_path):
    for name in (
        "a.zip",
        "x/b.tar.gz",
        "x/y/z/c.TGZ",
        "x/y/z/w/too_deep.zip",
        "x/table.csv.gz",
        "__MACOSX/._a.zip",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.zip").mkdir()
    assert [path.name for path in archives(tmp_path)] == ["a.zip", "b.tar.gz", "c.TGZ"]


def cut_at_a_member(content):
    """A tar without its second member and its end."""
    return content[: 512 + 1024]


def cut_with_one_block_of_zeros(content):
    return content[: 512 + 1024] + bytes(512)


def damage_the_second_header(content):
    damaged = bytearray(content)
    damaged[512 + 1024 + 20] ^= 255
    return bytes(damaged)


def blank_the_second_header(content):
    return content[: 512 + 1024] + bytes(512) + content[512 + 1024 + 512 :]


@pytest.mark.parametrize(
    "damage",
    [cut_at_a_member, cut_with_one_block_of_zeros, damage_the_second_header, blank_the_second_header],
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_tar_that_ends_early_is_not_taken_as_whole(tmp_path, packed, damage):
    members = [(f"{name}.jpg", tarfile.REGTYPE, name.encode() * 1000) for name in "abc"]
    archive = tarred(tmp_path / "a.tar", *members)
    whole = archive.read_bytes()
    archive.write_bytes(packed(whole))
    extract(archive, tmp_path / "whole")
    assert len(list((tmp_path / "whole").iterdir())) == 3
    archive.write_bytes(packed(damage(whole)))
    with pytest.raises(UserError, match="truncated or damaged archive"):
        check_whole(archive)
    (tmp_path / "x").mkdir()
    archive = archive.rename(tmp_path / "x/a.tar")
    refused(archive, tmp_path / "x/out", "truncated or damaged archive")


def test_a_gzip_without_its_checksum_is_not_whole(tmp_path):
    archive = tarred(tmp_path / "a.tar.gz", ("a.jpg", tarfile.REGTYPE, b"a" * 1000), mode="w:gz")
    archive.write_bytes(archive.read_bytes()[:-4])
    refused(archive, tmp_path / "out", "truncated or damaged")


def test_the_same_name_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        archive = zipped(tmp_path / "a.zip", ("x/a.jpg", b"1"), ("x/a.jpg", b"2"))
    refused(archive, tmp_path / "out", r"holds x/a\.jpg twice")


@pytest.mark.parametrize("mode", [None, "w:gz"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, mode):
    monkeypatch.setattr("dgreid.datasets.adopt.extract.SMALL", 10_000)
    archive, content = tmp_path / "a.archive", bytes(2_000_000)
    if mode is None:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a.jpg", content)
    else:
        tarred(archive, ("a.jpg", tarfile.REGTYPE, content), mode=mode)
    refused(archive, tmp_path / "out", "would unpack to more than")


def test_hidden_things_are_not_extracted(tmp_path):
    members = ["x/.ipynb_checkpoints/y.jpg", "x/Thumbs.db", "./x/y.jpg", ".Trash-1000/files/z.jpg"]
    archive = zipped(tmp_path / "a.zip", *((name, b"1") for name in members))
    extract(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["y.jpg"]


def test_a_zip_whose_directory_is_damaged_is_not_taken_as_shorter(tmp_path):
    archive = zipped(tmp_path / "a.zip", *((f"{name}.jpg", name * 50) for name in "abcd"))
    whole = archive.read_bytes()
    second = whole.index(b"PK\x01\x02", whole.index(b"PK\x01\x02") + 4)
    content = bytearray(whole)
    content[second + 32] = 51  # its comment would be all of the third entry
    archive.write_bytes(content)
    with zipfile.ZipFile(archive) as file:
        assert len(file.namelist()) < 4  # as Python reads it
    refused(archive, tmp_path / "out", "its directory has . of 4 files")


def test_more_members_than_a_plain_zip_counts(tmp_path):
    archive = zipped(tmp_path / "a.zip", *((f"{n}.jpg", "") for n in range(65_540)))
    check_whole(archive)


def test_a_name_that_the_system_does_not_take(tmp_path):
    archive = zipped(tmp_path / "a.zip", (f"{'a' * 300}.jpg", b"x"))
    with pytest.raises(
        UserError, match=r"File name too long\); a name in it is longer than .* adopt the folder"
    ):
        extract(archive, tmp_path / "to")
