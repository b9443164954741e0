"""Record where and when something was made: the commit of the checkout that dgreid runs in, and the time.

It also reads earlier versions of files from git.
"""

import io
import os
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

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


def committed(revision: str, folder: Path) -> tuple[str, dict[str, bytes]] | None:
    """Read the files of a folder as they were committed; never an error.

    Args:
        revision: a commit, branch or tag of the checkout that dgreid runs in.
        folder: below its root, where dgreid runs.

    Returns:
        The short hash of the commit and the files' contents by name, no files if it lacks the folder. None if
        there is no git, or no such commit.
    """
    head = _git("rev-parse", "--verify", "--short", "--end-of-options", f"{revision}^{{commit}}")
    if head is None or head.returncode != 0:
        return None
    commit = head.stdout.strip()
    packed = _git("archive", "--format=tar", commit, f"{folder.as_posix()}/", text=False)
    if packed is None or packed.returncode != 0:
        return commit, {}
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        files = [entry for entry in archive if entry.isfile()]
        return commit, {Path(entry.name).name: archive.extractfile(entry).read() for entry in files}


def now() -> str:
    """Return the time in UTC, such as `2026-11-21T09:30:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(*words: str, text: bool = True) -> subprocess.CompletedProcess | None:
    quiet = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}  # so that parallel runs do not wait for each other
    try:
        return subprocess.run(
            ["git", *words], capture_output=True, text=text, timeout=SECONDS_FOR_GIT, env=quiet, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
