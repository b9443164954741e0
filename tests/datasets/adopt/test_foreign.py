"""Files that are no zip or tar are called what they are."""

import pytest

from dgreid.datasets.adopt.extract import check_whole
from helpers.archives import refused, zipped


def test_web_page_instead_of_an_archive(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"\n<!DOCTYPE html><html>Sign in</html>")
    refused(archive, tmp_path / "out", "a web page")


def deflate64(content):
    patched = bytearray(content)
    for sign, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        patched[patched.index(sign) + offset] = 9
    return bytes(patched)


FOREIGN = {
    "a.zip": (deflate64, "method deflate64"),
    "a.rar": (lambda content: b"Rar!\x1a\x07\x01\x00" + content, "a RAR archive"),
    "a.7z": (lambda content: b"7z\xbc\xaf\x27\x1c\x00\x04" + content[:50], "a 7z archive"),
    "a.tar.zst": (lambda content: b"\x28\xb5\x2f\xfd" + content[:50], "a zstd archive"),
    "a.zip.001": (lambda content: content[:60], "one part of several"),
    "a.zip.002": (lambda content: content[60:], "one part of several"),
    "a.z01": (lambda content: b"PK\x07\x08" + content[:60], "one part of several"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_archive_of_another_program_is_to_be_unpacked_with_it(tmp_path, name):
    change, sentence = FOREIGN[name]
    content = zipped(tmp_path / "whole", ("good.txt", b"1" * 100)).read_bytes()
    (tmp_path / "whole").unlink()
    (tmp_path / name).write_bytes(change(content)[:-30] if name == "a.rar" else change(content))
    refused(tmp_path / name, tmp_path / "out", f"{sentence}.*adopt the folder")


def test_one_disk_of_several(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("good.txt", b"1"))
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"PK\x05\x06") + 4] = 2
    archive.write_bytes(content)
    refused(archive, tmp_path / "out", "one part of several")


def test_more_members_than_a_plain_zip_counts(tmp_path):
    archive = zipped(tmp_path / "a.zip", *((f"{n}.jpg", "") for n in range(65_540)))
    check_whole(archive)
