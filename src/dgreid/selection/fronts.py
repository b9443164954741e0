"""One front end at a time: `snakemake` and `dvc repro` hold the project while they work, the next one waits.

The locks are the kernel's (flock), so a killed process leaves none. Each job holds a lock of its own: jobs
that outlive a killed front end are waited for as well.
"""

import fcntl
import json
import os
import sys
import time
from itertools import chain
from pathlib import Path
from typing import IO

import psutil

FRONT = Path(".dvc/tmp/front.lock")  # held alone by a front end
WORK = Path(".dvc/tmp/work.lock")  # shared by the jobs
DVC = Path(".dvc/tmp/lock")  # DVC's own, by which a `dvc` without our guard shows itself
LOCKS = Path(".dvc/tmp/rwlock")  # DVC's list of which process reads or writes which file

_held: list[IO] = []  # until the process ends


def lead() -> None:
    """Hold the project until this process ends; wait, with a sentence, while others work in it."""
    front, told = _open(FRONT), None
    while who := _holder(front) or _orphans():
        if who != told:
            print(f"{who} works in this project: waiting until it has ended.", file=sys.stderr, flush=True)
            told = who
        time.sleep(0.5)
    front.truncate(0)
    front.write(f"process {os.getpid()} ({' '.join(Path(word).name for word in sys.argv[:3])})")
    front.flush()
    _held.append(front)


def join() -> None:
    """Count as a job of the project until this process ends."""
    work = _open(WORK)
    fcntl.flock(work, fcntl.LOCK_SH)
    _held.append(work)


def other() -> str | None:
    """Name the front end, or the jobs of a killed one, that works in the project; None if nobody does."""
    with _open(FRONT) as front:
        return _holder(front) or _orphans()


def _holder(front: IO) -> str | None:
    if _take(front):
        return None
    front.seek(0)
    return front.read() or "another front end"


def _orphans() -> str | None:
    with _open(WORK) as work, _open(DVC) as dvc:
        if not _take(work):
            return "a job of an earlier call, or of a `dvc`,"
        if not _take(dvc):
            return "another `dvc`"
    return next((f"process {pid} ({cmd})" for pid, cmd in _listed() if is_at_work(pid)), None)


def _listed() -> list[tuple[int, str]]:
    """The processes in DVC's list of locks; none if it cannot be read."""
    try:
        node = json.loads(LOCKS.read_text(encoding="utf-8"))
        entries = [*node.get("write", {}).values(), *chain(*node.get("read", {}).values())]
        return [(entry["pid"], Path(entry["cmd"]).name) for entry in entries]
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return []


def is_at_work(pid: int) -> bool:
    """Tell if a process is alive and is a DVC in this project, and not one that was given the same number."""
    if pid == os.getpid():
        return False  # DVC asks only about entries that are not its own
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        names = {Path(word).name for word in process.cmdline()[:3]}
        return bool(names & {"dvc", "dgreid"}) and Path(process.cwd()).is_relative_to(Path.cwd())
    except psutil.AccessDenied:
        return True  # somebody else's
    except psutil.Error:
        return False


def _take(file: IO) -> bool:
    """Lock a file alone; it stays locked until it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> IO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a+", encoding="utf-8")
