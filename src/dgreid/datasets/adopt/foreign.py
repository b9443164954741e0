"""What a file is instead of a zip or tar archive, and what to do with it: the end of a message."""

import re
from pathlib import Path

PAGE = (b"<!doctype", b"<html")
PACKERS = {  # how files of other programs begin
    b"Rar!": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress",
    b"MZ": "self-extracting",
    b"PK\x07\x08": "split",
}
PART = re.compile(r"\.(\d{3}|z\d\d|part\d+\.rar)$", re.IGNORECASE)  # data.zip.001, data.z01, data.part1.rar
TAIL = 22 + 65535  # bytes at the end of a zip in which its final record begins
POINTER = b"version https://git-lfs"


def is_part(archive: Path) -> bool:
    """Whether a file is one part of an archive in several: its name says so, or its final record."""
    if PART.search(archive.name):
        return True
    with open(archive, "rb") as file:
        file.seek(max(archive.stat().st_size - TAIL, 0))
        _, sign, record = file.read().rpartition(b"PK\x05\x06")
    disk = int.from_bytes(record[:2], "little") if sign and len(record) >= 18 else 0
    return 0 < disk < 0xFFFF  # which stands in large zips of one part


def explain(archive: Path) -> str:
    """Say what a file is that is no whole zip or tar, and what to do."""
    with open(archive, "rb") as file:
        head = file.read(200)
    if head.lstrip().lower().startswith(PAGE):
        return " but a web page; download the file itself"
    if head.startswith(POINTER):
        return " but a pointer of git-lfs; get the file itself with `git lfs pull`"
    if is_part(archive):
        return " but one part of several; unpack them together with another program and adopt the folder"
    if packer := next((name for magic, name in PACKERS.items() if head.startswith(magic)), None):
        return f" but a {packer} archive; unpack it with another program and adopt the folder"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return " (truncated download?); get it again"
    return "; give the archive as downloaded, or the unpacked folder"
