"""Run DVC so that no kill, at any moment, can block the project or lose a result.

DVC writes dvc.lock and the list of its locks in place, so that a kill leaves them empty; it believes any
process that has the number of a dead one; it removes outputs before it knows that new ones come; and it takes
an edit made while an item runs for what the item was made from. `guard` replaces these few functions in this
process; the rest is DVC. The commands `dvc` and `dgreid repro` and the jobs of Snakemake pass through `main`.
"""

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import yaml

from dgreid.errors import UserError, one_line
from dgreid.files import whole
from dgreid.paths import LEDGER, MATRIX
from dgreid.selection import fronts, kept
from dgreid.selection.fronts import LOCKS

log = logging.getLogger(__name__)

GOOD = Path(".dvc/tmp/dvc.lock")  # the last one that was written in full
JOB = "DGREID_JOB"  # set in the environment of a job whose front end holds the project
_busy: list[Exception] = []  # a refusal by DVC's list of locks, which DVC reports but does not return


def main(words: Sequence[str] | None = None) -> int:
    """Run `dvc` with these words; return its exit status."""
    words = sys.argv[1:] if words is None else list(words)
    try:
        if Path("dvc.yaml").is_file() and MATRIX.is_file():  # elsewhere it is the plain DVC
            _enter(words)
            guard()
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    from dvc.cli import main as dvc

    logging.getLogger("dvc").propagate = False  # it has handlers of its own
    status = dvc(words)
    while status and _busy and "--wait-for-lock" in words:  # an option of DVC's that does not cover this lock
        _busy.clear()
        time.sleep(1)
        status = dvc(words)
    return status


def _enter(words: Sequence[str]) -> None:
    """Take the locks of a front end or of a job, and repair what a kill has left."""
    if os.environ.get(JOB):
        fronts.join()
    elif words[:1] == ["repro"] or "repro" in words[:2] or words[:2] == ["exp", "run"]:
        fronts.lead()
        kept.put_all_back()
    for word in words:
        kept.put_back(word)  # Snakemake has removed them: DVC shall see what is there
    repair()


def warn_of_another_dvc() -> None:
    """Say if `dvc` in the shell is not the one that passes through `main`, such as another environment's."""
    found = shutil.which("dvc")
    if found and __name__.encode() not in Path(found).read_bytes()[:4096]:
        log.warning(
            "%s is a plain DVC, which a kill can block and which does not wait for snakemake: activate the "
            "project's environment before you call `dvc`.",
            found,
        )


def repair() -> None:
    """Make DVC's files readable again, and tell DVC if there is no git.

    Raises:
        UserError: dvc.lock is damaged in a way that no kill leaves.
    """
    from dvc.lock import make_lock

    LOCKS.parent.mkdir(parents=True, exist_ok=True)
    with make_lock(str(fronts.DVC), wait=True):
        _repair_ledger()
    with make_lock(f"{LOCKS}.lock", wait=True):
        if LOCKS.exists() and not _is_locks(_text(LOCKS)):
            LOCKS.unlink()
    _do_without_git()


def _repair_ledger() -> None:
    if not LEDGER.exists() or _is_ledger(text := _text(LEDGER)):
        return
    if "<<<<<<<" in text:
        raise UserError(
            f"{LEDGER} has conflicts of a merge: take one side with `git checkout --theirs {LEDGER}`, and "
            "call again; what the other side recorded comes from DVC's cache."
        )
    if GOOD.exists() and _is_ledger(_text(GOOD)):
        with whole(LEDGER) as part:
            shutil.copy(GOOD, part)
    else:
        LEDGER.unlink()
    log.warning("%s was cut short by a kill: repaired; DVC's cache knows what is missing in it.", LEDGER)


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")  # what is no UTF-8 is damage, which the schemas see


def _is_ledger(text: str) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (Invalid, yaml.YAMLError):
        return False
    return True


def _is_locks(text: str) -> bool:
    from dvc.rwlock import SCHEMA
    from voluptuous import Invalid

    try:
        return bool(SCHEMA(yaml.safe_load(text)))  # every JSON is YAML
    except (Invalid, yaml.YAMLError):
        return False


def _do_without_git() -> None:
    """Set DVC's `core.no_scm` in a project that was unpacked and not cloned."""
    from dvc.config import Config

    if any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        return
    config = Config(dvc_dir=".dvc")
    if not config["core"].get("no_scm"):
        with config.edit("local") as local:
            local.setdefault("core", {})["no_scm"] = True
        log.warning("there is no git repository here: DVC does without (core.no_scm in .dvc/config.local).")


@cache
def guard() -> None:
    """Replace what DVC does unsafely, in this process."""
    import dvc.stage
    from dvc import rwlock
    from dvc.fs import LocalFileSystem
    from dvc.output import Output

    LocalFileSystem.open = _opening_whole(LocalFileSystem.open)
    rwlock.psutil = SimpleNamespace(pid_exists=fronts.is_at_work)
    rwlock.make_lock = partial(rwlock.make_lock, wait=True)
    rwlock.rwlock = _noting_refusals(rwlock.rwlock)
    dvc.stage.Stage.run = _keeping_outputs(dvc.stage.Stage.run)
    dvc.stage.run_stage = _recording_inputs(dvc.stage.run_stage)
    # .gitignore names data/ and reports/; DVC would add more, and stops where they are links to another disk
    Output.ignore = Output.ignore_remove = lambda self: None


def _opening_whole(plain: Callable) -> Callable:
    @wraps(plain)
    def open_(self: Any, path: str, mode: str = "r", **options: Any) -> Any:
        if "w" in mode and Path(path).name in (LEDGER.name, LOCKS.name):
            return _written_whole(Path(path), mode, options.get("encoding"))
        return plain(self, path, mode=mode, **options)

    return open_


@contextmanager
def _written_whole(path: Path, mode: str, encoding: str | None) -> Iterator[IO]:
    with whole(path) as part:
        with open(part, mode, encoding=encoding) as file:
            yield file
        if path.name == LEDGER.name:
            with whole(path.parent / GOOD) as copy:
                shutil.copy(part, copy)


def _noting_refusals(plain: Callable) -> Callable:
    from dvc.lock import LockError

    @contextmanager
    def rwlock(*arguments: Any) -> Iterator[None]:
        try:
            with plain(*arguments):
                yield
        except LockError as error:
            _busy.append(error)
            raise

    return rwlock


def _keeping_outputs(plain: Callable) -> Callable:
    @wraps(plain)
    def run(stage: Any, dry: bool = False, **options: Any) -> None:
        if dry:
            return plain(stage, dry=dry, **options)
        try:
            with kept.safe(stage.addressing, [out.fs_path for out in stage.outs if not out.persist]):
                plain(stage, **options)
        finally:
            vars(stage).pop("save_deps", None)

    return run


def _recording_inputs(plain: Callable) -> Callable:
    """Record what the inputs were before the command ran: an edit made meanwhile is not in its result."""

    @wraps(plain)
    def run_stage(stage: Any, dry: bool = False, force: bool = False, **options: Any) -> None:
        if force and not dry:
            stage.save_deps()  # without `force` DVC does so itself
        plain(stage, dry, force, **options)
        if not dry:
            stage.save_deps = lambda **_: None

    return run_stage


if __name__ == "__main__":
    sys.exit(main())
