"""The whole pipeline from nothing: wall time of the first run, and of two runs that have nothing to do.

    python -m benchmarks.pipeline                                  # writes benchmarks/results/pipeline.json
    python -m benchmarks.pipeline --matrix miniature seeds=0       # another selection: prints only

What is committed is cloned into a temporary folder, without data, results, lock file or DVC cache; the clone
is deleted afterwards. The packages are those of the Python that runs this file; dgreid is the clone's.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

from benchmarks.common import RESULTS, ROOT
from dgreid.files import whole

RESULT = RESULTS / "pipeline.json"
STEPS = {
    "from nothing": "snakemake --cores all",
    "again, snakemake": "snakemake --cores all",
    "again, dvc": "dvc repro",
}


class Clone:
    """HEAD in a folder of its own, where nothing has run yet."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),
        }
        self.environment.pop("DGREID_THREADS", None)
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        self.run("rm -rf dvc.lock reports logs")
        self.run("dvc config --local cache.dir cache")  # .dvc/cache, whatever the user's own settings say
        used = Path(self.run("python -c 'import dgreid; print(dgreid.__file__)'").strip())
        if not used.is_relative_to(folder):
            raise SystemExit(f"dgreid comes from {used}, not from the clone: nothing measured.")

    def run(self, command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            logs = [
                log.read_text(encoding="utf-8")[-1500:] for log in sorted(self.folder.glob("logs/**/*.log"))
            ]
            raise SystemExit("\n".join([command, done.stdout[-3000:], done.stderr[-3000:], *logs]))
        return done.stdout

    def executions(self) -> list[list[str]]:
        """Stage, words, seconds, process of each stage item that has run."""
        log = self.folder / "logs" / "executions.tsv"
        return (
            [line.split("\t") for line in log.read_text(encoding="utf-8").splitlines()]
            if log.exists()
            else []
        )


def measure(words: list[str]) -> dict:
    with tempfile.TemporaryDirectory(prefix="dgreid-") as folder:
        clone = Clone(Path(folder).resolve() / "project")
        if words:
            clone.run(" ".join(["dgreid select", *(f"'{word}'" for word in words)]))
        matrix = yaml.safe_load((clone.folder / "params" / "matrix.yaml").read_text(encoding="utf-8"))
        steps, done = {}, []
        for name, command in STEPS.items():
            begin = time.perf_counter()
            clone.run(command)
            seconds = time.perf_counter() - begin
            ran = clone.executions()[len(done) :]
            done += ran
            steps[name] = {"command": command, "seconds": round(seconds, 1), "stage items": len(ran)}
            print(f"{name:18} {command:24} {seconds:8.1f} s   {len(ran):3} stage items", flush=True)
        count, seconds = Counter(), Counter()
        for stage, _, took, *_ in done:
            count[stage] += 1
            seconds[stage] += float(took)
        return {
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            "commit": clone.run("git rev-parse --short HEAD").strip(),
            "selection": " ".join(words) or matrix["name"],
            "runs": len(matrix["runs"]),
            "steps": steps,
            "stages": {name: {"items": count[name], "seconds": round(seconds[name], 1)} for name in count},
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--matrix", nargs="+", default=[], metavar="WORD", help="NAME axis=value ...")
    arguments = parser.parse_args()
    if subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT).returncode:
        print("note: what is measured is HEAD, without the changes of the working tree.", flush=True)
    result = measure(arguments.matrix)
    for name, stage in result["stages"].items():
        print(f"  {name:12} {stage['items']:3} items {stage['seconds']:8.1f} s")
    first, *again = result["steps"].values()
    if not first["stage items"] or any(step["stage items"] for step in again):
        raise SystemExit("the first run must do something and the others nothing: nothing written.")
    if not arguments.matrix:
        with whole(RESULT) as path:
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
