"""The one author of a run's name."""

import hashlib
from collections.abc import Iterable


def name_of(method: str, backbone: str, protocol: str, seed: int, words: Iterable[str] = ()) -> str:
    """`{method}-{backbone}-{protocol}-s{seed}`, with a hash behind it if `words` depart from params/.

    What was tried by hand thus never stands in a table as if it were the file's.
    """
    name = f"{method}-{backbone}-{protocol}-s{seed}"
    digest = hashlib.sha256(" ".join(sorted(words)).encode()).hexdigest()[:6]
    return f"{name}-{digest}" if words else name
