"""Let something happen to this process at its n-th act on the project's files: a kill, a signal, a full disk.

Acts are what Python's audit events show before they happen (opening a file for writing, renaming, removing,
making a folder or a link), and every `os.fsync`.
"""

import errno
import os
import signal
import sys
import threading
from pathlib import Path

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
SYNC = "os.fsync"  # no audit event of Python's
GROWS = {"open", "os.mkdir", SYNC}  # what a full disk refuses
KINDS = ("kill", "torn", "interrupt", "full")
# kill: SIGKILL before the act
# torn: SIGKILL in the middle of the write: the file that is about to be synchronised has lost its second half
# interrupt: SIGINT, as Ctrl-C sends it
# full: the act fails, as on a full disk


class Fault:
    """Count the acts of this process, by the kind of fault that can meet them; do `kind` at number `at`.

    Args:
        kind: one of KINDS, or None: only count.
        at: from 1.
    """

    def __init__(self, kind: str | None, at: int):
        self.kind, self.at, self.acts = kind, at, dict.fromkeys(KINDS, 0)
        self.folder = f"{Path.cwd()}{os.sep}"
        self.lock = threading.RLock()
        self.sync, os.fsync = os.fsync, self._fsync
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple) -> None:
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
            self._act(event, arguments[0])

    def _fsync(self, handle) -> None:
        self._act(SYNC, handle)
        self.sync(handle)

    def _act(self, event: str, target: object) -> None:
        path = os.fsdecode(target) if isinstance(target, str | bytes | os.PathLike) else ""
        if os.path.isabs(path) and not path.startswith(self.folder):
            return
        met = {"kill": True, "interrupt": True, "full": event in GROWS}
        met["torn"] = event == SYNC and _is_file(target)
        with self.lock:
            for kind in KINDS:
                self.acts[kind] += met[kind]
            if not (self.kind and met[self.kind] and self.acts[self.kind] == self.at):
                return
        if self.kind == "torn":
            _cut(target)
        if self.kind == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path or None)
        os.kill(os.getpid(), signal.SIGINT if self.kind == "interrupt" else signal.SIGKILL)


def _is_file(handle: object) -> bool:
    return isinstance(handle, int) and os.path.isfile(f"/proc/self/fd/{handle}")


def _cut(handle: int) -> None:
    path = os.readlink(f"/proc/self/fd/{handle}")
    os.truncate(path, os.path.getsize(path) // 2)
