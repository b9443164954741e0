"""Call commands under a time limit, say how each call ended, and count."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 60  # seconds until a call counts as hanging

REFUSED = "refused in one sentence"
REBUILT = "made again"
SAME = "without effect"
TAKEN = "taken as what it says"  # input from outside that nothing vouches for
LEFT = "goes on, a temporary folder stays"  # until the same target is written again
TRACEBACK, HANG, SILENT, OUTSIDE, STUCK = "traceback", "hang", "silent", "outside", "stuck"
GOOD = (REFUSED, REBUILT, SAME, TAKEN, LEFT)
BAD = (TRACEBACK, HANG, SILENT, OUTSIDE, STUCK)


def few_or_many(few: int, many: int):
    """Parametrise a test with `tries`: a few in every run, many with `-m campaign`."""
    return pytest.mark.parametrize(
        "tries", [pytest.param(few, id="few"), pytest.param(many, id="many", marks=pytest.mark.campaign)]
    )


class Said(NamedTuple):
    """How a call ended: exit status (negative: signal, None: time ran out), what it wrote, and how many of
    its acts each kind of fault could have met.
    """

    status: int | None
    out: str
    err: str
    acts: dict[str, int]

    @property
    def outcome(self) -> str | None:
        """The outcome as far as the call alone tells it; None if it claims success."""
        if self.status is None:
            return HANG
        if "Traceback (most recent call last)" in self.err + self.out or self.status < 0:
            return TRACEBACK
        if self.status == 0:
            return None
        return REFUSED if _is_sentence(self.err) else TRACEBACK


def _is_sentence(text: str) -> bool:
    """Whether the last line, and no other, is an error of ours, short enough to be read."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return bool(errors) and errors == lines[-1:] and 20 < len(errors[0]) < 2500 and errors[0].isprintable()


class Server:
    """Runs commands in children of a process that has everything imported (server.py)."""

    def __init__(self, room: Path):
        self.room = room
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        for name in ("DGREID_THREADS", "DGREID_JOB", "PYTEST_CURRENT_TEST"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "attack.server"],
            env=environment,
            cwd=room,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def call(
        self,
        words: str | Sequence[str],
        folder: Path,
        program: str = "dgreid",
        fault: str | None = None,
        at: int = 0,
        limit: float = LIMIT,
    ) -> Said:
        """Run a command in a folder; `fault` happens at act number `at`, see faults.py."""
        files = {name: self.room / f"said.{name}" for name in ("out", "err", "acts")}
        for path in files.values():
            path.unlink(missing_ok=True)
        order = {name: str(path) for name, path in files.items()}
        order |= {"words": words.split() if isinstance(words, str) else list(words), "folder": str(folder)}
        order |= {"program": program, "fault": fault, "at": at, "limit": limit}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        status = json.loads(self.process.stdout.readline())["status"]
        out, err, acts = (
            path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            for path in files.values()
        )
        return Said(status, out, err, json.loads(acts or "{}"))

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait(30)


class Tally:
    """Counts the outcomes of an attack, and fails its test in the end if one was bad.

    Args:
        attack: the row of the table.
        kind: "kills", "full disks" or "inputs".
    """

    def __init__(self, attack: str, kind: str, record: Callable[[str, object], None]):
        self.attack, self.kind, self.record = attack, kind, record
        self.counts, self.wrong = Counter(), []

    def add(self, outcome: str, case: object, said: Said) -> None:
        """Count the outcome of one case."""
        self.counts[outcome] += 1
        if outcome in BAD:
            self.wrong.append(f"{outcome}: {case!s:.300}: status {said.status}: {said.err[-600:]}")

    def close(self) -> None:
        """Hand the counts to the table, and fail if an outcome was bad."""
        self.record("attack", [self.attack, self.kind, dict(self.counts)])
        assert sum(self.counts.values()) > 0
        assert not self.wrong, "\n".join([f"{len(self.wrong)} of {self.counts.total()}", *self.wrong[:20]])


def table(rows: Iterable[tuple[str, str, dict[str, int]]]) -> str:
    """The counts of all attacks as Markdown, and the sums in the last line."""
    counts: dict[tuple[str, str], Counter] = {}
    for attack, kind, found in rows:
        counts.setdefault((attack, kind), Counter()).update(found)
    columns = (*GOOD, *BAD)
    lines = [" | ".join(["| attack", "tries", *columns]) + " |", "| --- |" + " ---: |" * (len(columns) + 1)]
    total: Counter = Counter()
    for (attack, kind), found in counts.items():
        cells = [attack, f"{found.total():,}", *(f"{found[name]:,}" for name in columns)]
        lines.append("| " + " | ".join(cells) + " |")
        total.update(found)
        total[kind] += found.total()
    lines.append(
        f"{total['kills']:,} kills, {total['full disks']:,} full disks, "
        f"{total['inputs']:,} malformed inputs: "
        f"{total[TRACEBACK]} tracebacks, "
        f"{total[HANG]} hangs over {LIMIT} s, {total[SILENT]} silent wrong results, "
        f"{total[OUTSIDE]} writes outside, {total[STUCK]} stuck"
    )
    return "\n".join(lines)
