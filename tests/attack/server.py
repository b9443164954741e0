"""A process that has imported everything and forks a child for each call: a new interpreter takes seconds.

It reads one order per line, as JSON, and answers with one line. The child runs in a session of its own, so
that what it starts ends with it.
"""

import json
import os
import select
import signal
import sys
import time
import traceback
from contextlib import suppress

from attack.faults import Fault
from attack.harness import ROOT
from dgreid.cli import main as commands


def settings(words: list[str]) -> int:
    """Print the settings of a run as JSON; a command that only reads params/."""
    from dgreid.errors import UserError
    from dgreid.runs.config import load_run

    try:
        print(load_run(words).model_dump_json())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def dvc(words: list[str]) -> int:
    """The command `dvc`, as this package installs it."""
    from dgreid.selection import guard

    return guard.main(words)


PROGRAMS = {"dgreid": commands.main, "settings": settings, "dvc": dvc}


def preload() -> None:
    """Import what the commands import when they run."""
    import dvc.cli
    import dvc.repo
    import h5py
    import matplotlib.pyplot
    import torch

    import dgreid.imports
    import dgreid.inference.search
    import dgreid.reporting.figures
    import dgreid.selection.plan
    import dgreid.stages.evaluate
    import dgreid.stages.manifest
    import dgreid.stages.member
    import dgreid.stages.report
    import dgreid.stages.synthesize
    import dgreid.stages.train

    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    torch.use_deterministic_algorithms(True)  # imports much
    dgreid.imports.Sources().digests(f"dgreid.stages.{name}" for name in ("train", "evaluate", "report"))
    for path in (ROOT / "params").rglob("*.yaml"):  # both are kept by their text
        dgreid.schema.read_yaml(path)
    assert h5py and matplotlib and dvc


def serve() -> None:
    """Carry out orders until there are no more."""
    preload()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def run(order: dict) -> dict:
    """Run one order in a child; `status` is negative for a signal, None if the time ran out."""
    started = time.monotonic()
    process = os.fork()
    if not process:
        _child(order)
    handle = os.pidfd_open(process)
    ended = select.select([handle], [], [], order["limit"])[0]
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)  # what it started, and itself if it hangs
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(handle)
    return {"status": status if ended else None, "seconds": time.monotonic() - started}


def _child(order: dict) -> None:
    status = 1
    try:
        os.setsid()
        os.chdir(order["folder"])
        for handle, name, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, order["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ):
            os.dup2(os.open(name, flags), handle)
        fault = Fault(order["fault"], order["at"])
        try:
            status = PROGRAMS[order["program"]](order["words"])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
        with open(order["acts"], "w") as file:
            json.dump(fault.acts, file)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
