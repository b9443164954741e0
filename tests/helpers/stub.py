"""The command `dgreid` with stages that write small files at once; all else is real.

A file `fail` in the project makes a training write half of its outputs and fail; a file `hold` makes it stand
there until the file is removed.
"""

import os
import sys
import time
from argparse import Namespace
from pathlib import Path

from dgreid.cli import stages
from dgreid.cli.main import main as dgreid
from dgreid.errors import UserError
from dgreid.files import whole

FOLDERS = ("figures/tiny", "papers", "site")
TABLES = ("tiny.md", "tiny.csv", "tiny.tex", "tiny-differences.md", "tiny-differences.csv")
RUN = ("model.safetensors", "run.yaml", "cost.json", "history.csv")
OUTPUTS = {  # as in dvc.yaml; DVC refuses a job that leaves one out
    "synthesize": ("data/archives/{item}.zip",),
    "manifest": ("data/manifests/{item}/images.parquet", "data/manifests/{item}/splits.parquet"),
    "member": ("data/members/{item}.json",),
    "protocol": ("data/protocols/{item}/train.parquet", "data/protocols/{item}/targets.parquet"),
    "pretrain": ("data/start/{item}.safetensors",),
    "train": tuple(f"data/runs/{{item}}/{name}" for name in RUN),
    "evaluate": (
        "data/queries/{item}.parquet",
        "reports/summary/{item}.json",
        "reports/metrics/{item}.json",
    ),
    "report": (
        "reports/index.html",
        *(f"reports/{name}" for name in FOLDERS),
        *(f"reports/tables/{name}" for name in TABLES),
    ),
}


def main() -> int:
    for name in ("synthesize", "manifest", "member", "protocol", "pretrain", "train", "evaluate", "report"):
        setattr(stages, f"_{name}", _logged(_write))
    return dgreid()


_logged = stages._logged  # noqa: SLF001


def _write(arguments: Namespace) -> None:
    stage, _, item = os.environ.get("DVC_STAGE", "").partition("@")
    if not stage:  # by hand
        method = arguments.keys[0].removeprefix("method=")
        stage, item = arguments.command, f"{method}-resnet_tiny-tiny-s0"
    method = Path(f"params/method/{item.partition('-')[0]}.yaml")
    text = f"{stage} {item} {method.read_text() if stage == 'train' else ''}"
    outputs = [out.format(item=item) for out in OUTPUTS[stage]]
    for number, out in enumerate(outputs):
        if stage == "train" and number == 1:
            while Path("hold").exists():
                time.sleep(0.02)
            if Path("fail").exists():
                raise UserError("it failed.")
        with whole(out) as part:
            if not Path(out).suffix:
                part.mkdir()
                part = part / "one.txt"
            part.write_text(
                f'{{"text": {text!r}}}' if out.endswith("json") else f"text,iteration\n{text!r},1\n"
            )


if __name__ == "__main__":
    sys.exit(main())
