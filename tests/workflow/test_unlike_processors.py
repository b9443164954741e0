"""In float64 a run scores the same on unlike processors: other instruction sets, another number of threads.

A processor cannot become another one, but its libraries can be told to use less of it, and then sum in other
orders, as they would on another processor.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from helpers import tiny

RATES = {  # of a baseline, of gates, and of a memory; at m3l's own rate its training is chaos in float64 too
    "erm": 1.0,
    "metabin": 1.0,
    "m3l": 0.1,
}
SINGLE = "erm-float32"
OTHERS = {
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "SSE": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "MKL_CBWR": "COMPATIBLE",
    },
    "two threads": {"DGREID_THREADS": "2", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
}
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import os
import torch
from helpers import tiny
from dgreid.stages.evaluate import evaluate
from dgreid.stages.train import train

def run(method, precision, rate=1.0):
    recipe = {"epochs": 4, "iterations_per_epoch": 3, "learning_rate_factor": rate}
    config = tiny.config(method, protocol="miniature", precision=precision, **recipe)
    train(config)
    evaluate(config)
    return config.run

def rename(run, name):
    for path in (f"data/runs/{run}", f"reports/metrics/{run}.json", f"data/queries/{run}.parquet"):
        os.rename(path, path.replace(run, name))

rename(run("erm", "float32"), "erm-float32")
for method, rate in eval(sys.argv[2]).items():
    rename(run(method, "float64", rate), method)
print(torch.backends.cpu.get_cpu_capability())
"""


class Results:
    """What the runs made under one setting."""

    def __init__(self, folder: Path, process: subprocess.Popen):
        said, complaints = process.communicate()
        assert process.returncode == 0, complaints[-2000:]
        self.folder, self.capability = folder, said.split()[-1]

    def scores(self, run: str) -> dict:
        node = json.loads((self.folder / f"reports/metrics/{run}.json").read_text())
        return {key: value for key, value in node.items() if key not in ("cost", "sealed")}

    def queries(self, run: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"data/queries/{run}.parquet")

    def weights(self, run: str) -> dict[str, np.ndarray]:
        return load_file(self.folder / f"data/runs/{run}/model.safetensors")

    def distance(self, other: "Results", run: str) -> float:
        """The largest difference of a weight, relative to the largest of its tensor."""
        pairs = [(value, other.weights(run)[name]) for name, value in self.weights(run).items()]
        return max(abs(a - b).max() / max(abs(a).max(), 1e-12) for a, b in pairs if a.dtype.kind == "f")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The runs of each setting, by its name; each in a process of its own, because libraries decide once."""
    drawn = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(drawn)
        tiny.draw_miniature(targets=["VIPeR"])
    words = [sys.executable, "-c", RUN, str(Path(tiny.__file__).parents[1]), repr(RATES)]
    meant = ("MKL_", "ONEDNN_", "ATEN_", "OMP_", "DGREID_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(meant)}
    running = {}
    for name, settings in {"native": {}, **OTHERS}.items():
        folder = tmp_path_factory.mktemp("processor")
        for part in ("data", "params"):
            (folder / part).mkdir()
            for path in (drawn / part).iterdir():
                (folder / part / path.name).symlink_to(path)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = clean | {"OMP_NUM_THREADS": "1"} | settings
        running[name] = folder, subprocess.Popen(words, cwd=folder, env=environment, **pipes)
    return {name: Results(folder, process) for name, (folder, process) in running.items()}


@pytest.fixture(params=OTHERS)
def pair(results, request):
    """The results of this processor as it is, and as it is told to be; skips if it cannot be told."""
    native, other = results["native"], results[request.param]
    if native.capability == other.capability and "ATEN_CPU_CAPABILITY" in OTHERS[request.param]:
        pytest.skip(
            f"this processor computes by {native.capability} whatever it is told: nothing is compared"
        )
    return native, other


def test_in_float32_the_settings_lead_to_another_network(pair):
    """Without this the next test would show nothing."""
    native, other = pair
    assert native.distance(other, SINGLE) > 0


@pytest.mark.parametrize("method", RATES)
def test_in_float64_every_score_and_every_rank_is_equal(pair, method):
    native, other = pair
    assert native.scores(method) == other.scores(method)
    pd.testing.assert_frame_equal(native.queries(method), other.queries(method), check_exact=True)
    assert native.distance(other, method) < 1e-8
