"""Translate dvc.yaml for Snakemake: `${key}` or `${item}` of a `foreach` stage becomes the wildcard `{item}`.

dvc.yaml defines the stages, their dependencies and outputs. With this module the Snakefile schedules the same
stages without repeating any of those, and runs each item through DVC, so that both front ends share one
record (dvc.lock) and one content-addressed cache.

Snakemake compares dates, which do not tell whether a file has changed: a restored copy is old, a checked out
branch is new. So DVC is asked which items differ in content from its record. These get one more input,
`logs/changed`, which is newer than all outputs; the dates of all others are ignored.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dgreid import schema, trouble
from dgreid.errors import UserError, one_line
from dgreid.paths import CHANGED, RAW, SEEN, SHOWN
from dgreid.selection import fronts, guard, kept, stale

_VARIABLE = re.compile(r"\$\{([\w.]+)\}")


class Graph:
    """The stages of a dvc.yaml, plain or `foreach`, whose `vars` are YAML files.

    Args:
        workflow: Snakemake's, which says whether this process schedules, runs one job, or only looks; None:
            every item counts as out of date.
    """

    def __init__(self, path: str = "dvc.yaml", workflow: Any = None) -> None:
        self._workflow = workflow
        with self._in_a_sentence():
            self._read(path)

    def _read(self, path: str) -> None:
        spec = schema.read_yaml(Path(path))
        self._vars: dict[str, Any] = {}
        for file in spec.get("vars", []):
            if not Path(file).exists():
                raise UserError(f"{file} is missing: write it with `dgreid select NAME`.")
            self._vars |= schema.read_yaml(Path(file))
        self._stages = spec["stages"]
        self._made = {out for stage in self._stages for out in self.targets(stage)}

    @contextmanager
    def _in_a_sentence(self) -> Iterator[None]:
        """End Snakemake with the sentence of a user's error; it would show a traceback of ours."""
        try:
            yield
        except Exception as error:
            said = str(error) if isinstance(error, UserError) else trouble.sentence(error)
            if self._workflow is None or said is None:
                raise
            print(f"error: {one_line(said)}", file=sys.stderr)
            raise SystemExit(1) from None

    def items(self, stage: str) -> dict[str, Any]:
        """Return the items of a stage as {key: value}; {"": None} for a stage without `foreach`."""
        over = self._stages[stage].get("foreach")
        if over is None:
            return {"": None}
        name = _VARIABLE.fullmatch(over)[1]
        if name not in self._vars:
            raise UserError(f"the selection has no '{name}': write it again with `dgreid select NAME`.")
        values = self._vars[name]
        return values if isinstance(values, dict) else {str(value): value for value in values}

    @cached_property
    def _due(self) -> set[str] | None:
        """The items to run; None means all: on a cluster's node, whose job the main process has chosen."""
        if self._workflow is None or not self._workflow.is_main_process:
            return None
        if self._workflow.executor_plugin and not self._workflow.dryrun:
            fronts.lead()
            kept.put_all_back()
            who = None
        else:
            who = fronts.other()
        if who:
            print(f"{who} works in this project: what is listed here is not final.", file=sys.stderr)
        else:
            guard.repair()
            self.refresh()
        changed, later = stale.changed()
        self._mark(changed, changed | later)
        return changed | later

    def _mark(self, changed: set[str], due: set[str]) -> None:
        """Make `CHANGED` newer than the outputs of the items to run."""
        CHANGED.parent.mkdir(exist_ok=True)
        CHANGED.write_text("".join(f"{item}\n" for item in sorted(changed)), encoding="utf-8")
        now = CHANGED.stat().st_mtime
        for item in due:
            for out in map(Path, self._outputs_of(item)):
                if out.is_file() and out.stat().st_mtime >= now:  # the clock was wrong
                    os.utime(out, (now - 1, now - 1))

    def start(self) -> None:
        """Prepare the project for the jobs: keep what Snakemake removes, record what `refresh` has made."""
        with self._in_a_sentence():
            self._start()

    def _start(self) -> None:
        guard.warn_of_another_dvc()
        for item in self._due or ():
            kept.keep(item, self._outputs_of(item))
        command = ["dgreid", "repro", "code"]
        environment = os.environ | {guard.JOB: "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"`{' '.join(command)}` failed:\n{done.stderr}")

    def _outputs_of(self, item: str) -> list[str]:
        stage, _, key = item.partition("@")
        return [out.format(item=key) for out in self.outputs(stage)]

    def refresh(self) -> None:
        """Update data/code if a file that it depends on has changed or one of its files is missing.

        This is not a Snakemake rule, because it decides which rules run; and not done by DVC, whose record
        `snakemake -n` must leave as it is.

        Raises:
            UserError: a configuration or a source file has an error.
        """
        seen = _look_of(self._paths("code", "deps"))
        made = tuple(f"{out}/" for out in self.outputs("code"))
        known = SEEN.is_file() and SEEN.read_text(encoding="utf-8") == seen
        if known and all(Path(path).is_file() for path in self._all_inputs() if path.startswith(made)):
            return
        from dgreid.selection import code, matrix  # here, because they import torch

        code.write(matrix.read())
        SEEN.parent.mkdir(exist_ok=True)
        SEEN.write_text(seen, encoding="utf-8")

    def _all_inputs(self) -> Iterator[str]:
        for stage in self._stages:
            for key, value in self.items(stage).items():
                yield from (self._resolve(path, key, value) for path in self._paths(stage, "deps"))

    def outputs(self, stage: str) -> list[str]:
        """List the outputs of a stage as Snakemake patterns."""
        return [self._resolve(out, "{item}", None) for out in self._paths(stage, "outs", "metrics", "plots")]

    def flagged(self, stage: str) -> list[str]:
        """Add Snakemake's flags to `outputs`: for folders (names without suffix) and for its report."""
        from snakemake.io import directory, report

        shown = schema.read_yaml(SHOWN)
        shown = {self._resolve(out, "", None): dict(how) for out, how in shown.items()}
        flagged = []
        for out in self.outputs(stage):
            how = shown.get(out)
            out = out if Path(out).suffix else directory(out)
            if how:
                out = report(out, caption=str((SHOWN.parent / how.pop("caption")).resolve()), **how)
            flagged.append(out)
        return flagged

    def targets(self, stage: str) -> list[str]:
        """List every concrete output of a stage, over all its items."""
        return [out.format(item=key) for key in self.items(stage) for out in self.outputs(stage)]

    def inputs(self, stage: str) -> Callable[[Any], list[str]]:
        """Make Snakemake's input function: wildcards -> the files that one item depends on.

        A folder means every output made inside it. The files of data/code are not outputs here: `refresh`
        makes them before Snakemake compares dates.
        """

        def files(wildcards: Any) -> list[str]:
            with self._in_a_sentence():
                return found_by(wildcards)

        def found_by(wildcards: Any) -> list[str]:
            from snakemake.io import ancient

            everything = self._due is None  # asked first: it makes data/code
            key = getattr(wildcards, "item", "")
            value = self.items(stage)[key]
            found: list[str] = []
            for entry in self._paths(stage, "deps", "params"):
                found += self._expand(self._resolve(entry, key, value), stage)
            if everything:
                return found
            due = (f"{stage}@{key}" if key else stage) in self._due
            return [*found, str(CHANGED)] if due else list(map(ancient, found))

        return files

    def constraint(self) -> str:
        """Make a regular expression that matches the items of all stages."""
        return "|".join(
            sorted({re.escape(key) for stage in self._stages for key in self.items(stage) if key})
        )

    def repro(self, stage: str) -> str:
        """Make the shell line that updates one item through DVC."""
        item = "@{wildcards.item:q}" if "foreach" in self._stages[stage] else ""
        return f"{guard.JOB}=1 DGREID_THREADS={{threads}} dgreid repro {stage}{item} > {{log}} 2>&1"

    def _paths(self, stage: str, *sections: str) -> list[str]:
        body = self._stages[stage].get("do", self._stages[stage])
        entries = [entry for section in sections for entry in body.get(section, [])]
        return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]

    def _resolve(self, text: str, key: str, value: Any) -> str:
        def replace(match: re.Match) -> str:
            head, *rest = match[1].split(".")
            if head == "key" or (head == "item" and not rest):
                return key
            node = value if head == "item" else self._vars[head]
            for part in rest:
                node = node[part]
            return str(node)

        return _VARIABLE.sub(replace, text)

    def _expand(self, path: str, stage: str) -> list[str]:
        inside = sorted(out for out in self._made if out.startswith(path + "/"))
        if inside or path in self._made:
            return inside or [path]
        if not Path(path).exists():
            raise UserError(
                f"stage {stage} needs {path}, which is missing and which no stage makes: {_remedy(path)}"
            )
        return [path]


def gpus_per_job() -> int:
    """Return 1 if there is an NVIDIA driver, else 0: GPUs limit jobs only on machines that have them."""
    return int(shutil.which("nvidia-smi") is not None)


def _look_of(paths: list[str]) -> str:
    """Hash the names, sizes and dates of files, those inside folders included."""
    files = [file for path in paths for file in (Path(path), *Path(path).rglob("*")) if file.is_file()]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    kept = sorted(fact for fact in facts if "__pycache__" not in fact[0])
    return hashlib.sha256(repr(kept).encode()).hexdigest()


def _remedy(path: str) -> str:
    if Path(path).is_relative_to(RAW):
        dataset = Path(path).relative_to(RAW).parts[0]
        return f"bring the data with `dgreid adopt {dataset} --from PATH`."
    return "restore the file, or run `dgreid select NAME` to write a fresh matrix."
