"""Where and when something was made: the commit of the checkout dgreid runs in, and the date."""

import os
import subprocess
from datetime import UTC, datetime

# What decides a run; the rest of the tree may differ, as may the selection, which only lists runs.
SOURCES = ("src", "params", ":(exclude)params/matrix.yaml")
PATIENCE = 2.0  # seconds; it takes milliseconds where the files are local


def commit() -> str | None:
    """The short hash of HEAD, with `+` where src/ or params/ differ from it, be it by a new file.

    Files that git ignores do not count, nor does params/matrix.yaml, which `dgreid select` writes.
    None where there is no git, no commit, or the folder is not the root of a checkout; never an error.
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
    """The time, as `2026-11-21T09:30:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(*words: str) -> subprocess.CompletedProcess[str] | None:
    quiet = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}  # runs side by side do not wait for each other
    try:
        return subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=PATIENCE, env=quiet, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
