"""Record where and when something was made: the commit of the checkout that dgreid runs in, and the time."""

import os
import subprocess
from datetime import UTC, datetime

# Results depend only on these; the selection, params/matrix.yaml, merely lists runs.
SOURCES = ("src", "params", ":(exclude)params/matrix.yaml")
SECONDS_FOR_GIT = 2.0  # wait at most; on a local disk git takes milliseconds


def commit() -> str | None:
    """Return the short hash of HEAD, with `+` if src/ or params/ have uncommitted changes or new files.

    Files that git ignores do not count, nor does params/matrix.yaml, which `dgreid select` writes. None if
    there is no git, no commit, or the folder is not the root of a checkout; never an error.
    """
    head = _git("rev-parse", "--show-cdup", "--short", "HEAD")
    if head is None or head.returncode != 0:
        return None
    above, _, name = head.stdout.partition("\n")
    changes = _git("status", "--porcelain", "--untracked-files=normal", "--", *SOURCES)
    if above or changes is None or changes.returncode != 0:
        return None
    return name.strip() + ("+" if changes.stdout else "")


def now() -> str:
    """Return the time in UTC, such as `2026-11-21T09:30:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(*words: str) -> subprocess.CompletedProcess[str] | None:
    quiet = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}  # so that parallel runs do not wait for each other
    try:
        return subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=SECONDS_FOR_GIT, env=quiet, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
