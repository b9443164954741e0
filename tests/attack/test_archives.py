"""Archives from strangers: nothing is written outside, and what is taken is all that was in them."""

import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile

import pytest

from attack.harness import OUTSIDE, SAME, SILENT, STUCK, TAKEN, few_or_many
from attack.project import leftovers, outside, replica, results

IMAGE = "bounding_box_train/0002_c1s1_000001_01.jpg"
NAMES = (
    *("../evil.jpg", "../../../evil.jpg", "/tmp/dgreid-evil.jpg", "a/../../evil.jpg", "..\\evil.jpg"),
    *("C:\\evil.jpg", "C:evil.jpg", "\\\\host\\share\\evil.jpg", "./../evil.jpg", "a/./../../evil.jpg"),
    *(
        "~/evil.jpg",
        "$(touch evil).jpg",
        "-rf",
        " ",
        ".",
        "..",
        "a" * 300,
        "a/" * 200 + "b.jpg",
        "\u202egpj.exe",
    ),
    *("bounding_box_train", f"{IMAGE}/x.jpg", "bounding_box_train/\n.jpg", "bounding_box_train/ä\u0301.jpg"),
    *("bounding_box_train/0002_c1s1_000001_01.jpg.exe", "bounding_box_train/CON", "files/adopted.json"),
    *("../adopted.json", "adopted.json", "<script>.jpg", "%2e%2e/evil.jpg", "bounding_box_train/=1+1.jpg"),
)
KINDS = {
    "link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "device": tarfile.CHRTYPE, "disk": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE, "folder": tarfile.DIRTYPE, "unknown": b"Z", "contiguous": tarfile.CONTTYPE,
}  # fmt: skip
PACKED = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}


def files(built):
    """The data set's files by their names in its archive."""
    top = built / "source/wide"
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*.jpg"))}


def as_zip(members, method=zipfile.ZIP_STORED):
    """A zip of (name or ZipInfo, content)."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return made.getvalue()


def as_tar(members):
    """A plain tar of (name, kind, target of a link, content)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, kind, target, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, len(content)
            file.addfile(member, io.BytesIO(content))
    return made.getvalue()


def hostile(whole, rng, tries):
    """Archives with a member that does not belong there: suffix and content."""
    plain = [(name, tarfile.REGTYPE, "", content) for name, content in whole.items()]
    image = whole[IMAGE]
    for number in range(tries):
        name = NAMES[number // 2 % len(NAMES)] if number < 2 * len(NAMES) else rng.choice(NAMES)
        if number % 2:
            info = zipfile.ZipInfo("x")
            info.filename = name
            if rng.random() < 0.3:
                info.create_system = 3
                kind = rng.choice([stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG])
                info.external_attr = (kind | 0o7777) << 16
            members = [*whole.items(), (info, image)]
            rng.shuffle(members)
            yield f"zip, {name!r}", "zip", as_zip(members), {name}
        else:
            kind = rng.choice(list(KINDS)) if rng.random() < 0.5 else None
            target = rng.choice(["/etc/passwd", "..", "../../params", IMAGE])
            content = image if kind in (None, "contiguous", "unknown") else b""
            odd = (name, KINDS.get(kind, tarfile.REGTYPE), target if content == b"" else "", content)
            suffix = rng.choice(list(PACKED))
            yield f"{suffix}, {kind}, {name!r}", suffix, PACKED[suffix](as_tar([*plain, odd])), {name}


def damaged(whole, rng, tries):
    """Archives with flipped, lost and doubled bytes."""
    plain = [(name, tarfile.REGTYPE, "", content) for name, content in whole.items()]
    made = {"zip": as_zip(whole.items()), "deflated.zip": as_zip(whole.items(), zipfile.ZIP_DEFLATED)}
    made |= {suffix: pack(as_tar(plain)) for suffix, pack in PACKED.items()}
    for number in range(tries):
        suffix = list(made)[number % len(made)]
        content, way = (
            bytearray(made[suffix]),
            rng.choice(["flip", "flip", "cut", "zeros", "header", "block"]),
        )
        at = rng.randrange(len(content))
        if way == "flip":
            content[at] ^= 1 << rng.randrange(8)
        elif way == "cut":
            del content[at // 512 * 512 if suffix == "tar" and number % 4 else at :]
        elif way == "zeros":
            content[at : at + 4096] = bytes(len(content[at : at + 4096]))
        elif way == "header":  # of a zip: its directory; of a tar: a block
            at = len(content) - rng.randrange(1, min(len(content), 3000))
            content[at] = rng.randrange(256)
        else:
            del content[at // 512 * 512 : at // 512 * 512 + 512]
        yield f"{suffix}, {way} at {at}", suffix, bytes(content), set()


@pytest.mark.parametrize("cases", [hostile, damaged])
@few_or_many(8, 90)
def test_an_archive(server, built, tmp_path, tally, cases, tries):
    counted = tally(f"archives: {cases.__name__}")
    room = tmp_path / "room"
    room.mkdir()
    (room / "victim.jpg").write_bytes(b"untouched")
    folder = replica(built, room / "project")
    whole = files(built)
    (folder / "data/raw/wide/adopted.json").unlink()  # nothing was adopted before
    undisturbed = results(folder, ["data/raw/wide/files"])
    for name, suffix, content, odd in cases(whole, random.Random(0), tries):
        given = folder / f"source/given.{suffix}"
        given.write_bytes(content)
        before = outside(folder)
        said = server.call(f"adopt wide --from {given.relative_to(folder)} --replace", folder)
        outcome = said.outcome
        if outside(folder) != before:
            outcome = OUTSIDE
        elif outcome is None:
            taken = {n.rpartition("/")[2]: h for n, h in results(folder, ["data/raw/wide/files"]).items()}
            asked = {n.rpartition("/")[2]: h for n, h in undisturbed.items()}
            more = asked.items() <= taken.items() if odd else suffix == "tar" and asked.keys() == taken.keys()
            outcome = SAME if taken == asked else TAKEN if more else SILENT  # tar has no hash of a content
        elif leftovers(folder):
            outcome = STUCK
        counted.add(outcome, name, said)
        given.unlink()
    counted.close()
