"""Make the name of a run, in this one place."""

import hashlib
from collections.abc import Iterable


def name_of(method: str, backbone: str, protocol: str, seed: int, overrides: Iterable[str] = ()) -> str:
    """Return `{method}-{backbone}-{protocol}-s{seed}`, followed by a hash if there are `overrides`.

    A run with overrides thus never appears in a table as if it followed the files of params/.
    """
    name = f"{method}-{backbone}-{protocol}-s{seed}"
    digest = hashlib.sha256(" ".join(sorted(overrides)).encode()).hexdigest()[:6]
    return f"{name}-{digest}" if overrides else name
