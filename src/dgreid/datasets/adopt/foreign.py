"""Recognise files that are no zip or tar archive, and say what to do with them."""

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
UNKNOWN = 0xFFFF  # stands in the final record of large zips
POINTER = b"version https://git-lfs"


def is_part(archive: Path) -> bool:
    """Whether a file is one part of an archive in several: its name says so, or its final record."""
    return bool(PART.search(archive.name)) or 0 < _in_final_record(archive, 0) < UNKNOWN


def stated_members(archive: Path) -> int | None:
    """The number of members that the final record of a zip states, modulo 65536; None if it states none."""
    number = _in_final_record(archive, 6)
    return None if number == UNKNOWN else number


def _in_final_record(archive: Path, at: int) -> int:
    """A number of two bytes in the final record of a zip; 0 without one."""
    with open(archive, "rb") as file:
        file.seek(max(archive.stat().st_size - TAIL, 0))
        _, sign, record = file.read().rpartition(b"PK\x05\x06")
    return int.from_bytes(record[at : at + 2], "little") if sign and len(record) >= 18 else 0


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
