"""Ways in which a file gets damaged: flipped bits, lost ends, pages of zeros, other content."""

import random
from collections.abc import Iterator

PAGE = 4096


def damaged(content: bytes, flips: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield a name and the damaged bytes for each way; the places are chosen by the seed."""
    rng = random.Random(seed)
    for at in sorted(rng.sample(range(len(content)), min(flips, len(content)))):
        bit = rng.randrange(8)
        yield f"bit {bit} of byte {at}", content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
    for share in (0, 50, 99):
        yield f"cut to {share} %", content[: len(content) * share // 100]
    yield "the last byte lost", content[:-1]
    start = rng.randrange(max(1, len(content) - PAGE)) // PAGE * PAGE
    for place in (start, max(0, len(content) - PAGE)):
        zeros = bytes(min(PAGE, len(content) - place))
        yield f"zeros from {place}", content[:place] + zeros + content[place + len(zeros) :]
    yield "all zeros", bytes(len(content))
    yield "text", b"hello\n"
    yield "a pointer to the file", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
