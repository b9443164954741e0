"""The map of `data/`, `reports/` and `logs/`: every place that the package reads or writes, by name.

Paths are relative to the project root, where every command runs. dvc.yaml names the same places; a test
compares the two.
"""

from pathlib import Path

PARAMS = Path("params")
MATRIX = PARAMS / "matrix.yaml"  # the current selection

LEDGER = Path("dvc.lock")  # what DVC has made, from what

DATA = Path("data")
RAW = DATA / "raw"  # adopted data sets
ARCHIVES = DATA / "archives"  # generated data sets
SPLITS = DATA / "splits"  # imported split lists, in git
REFERENCE = DATA / "reference"  # the papers' published numbers, in git
MANIFESTS = DATA / "manifests"
PACKS = DATA / "packs"  # decoded images: a cache
WEIGHTS = DATA / "weights"  # ImageNet weights
START = DATA / "start"  # weights that stage pretrain has trained on drawn things, in git
NO_START = START / "none"  # what runs that begin otherwise depend on in the place of one
MEMBERS = DATA / "members"  # which manifests each protocol is made from
PROTOCOLS = DATA / "protocols"
TRAIN, TARGETS = "train.parquet", "targets.parquet"  # of each protocol
CHECKPOINTS = DATA / "checkpoints"
RUNS = DATA / "runs"
QUERIES = DATA / "queries"  # what each query scored
COSTS = DATA / "costs.json"  # speeds measured by `dgreid plan --measure`

REPORTS = Path("reports")
METRICS = REPORTS / "metrics"
SUMMARY = REPORTS / "summary"
TABLES = REPORTS / "tables"
FIGURES = REPORTS / "figures"
PAPERS = REPORTS / "papers"
INSPECT = REPORTS / "inspect"  # shows photographs, as the next two do: never in git
TSNE = REPORTS / "tsne"
PHOTOGRAPHS = REPORTS / "photographs"

CODE = DATA / "code"  # settings and code of every item of the selection
CODE_KEPT = DATA / "code-unselected"  # the same of items that other selections had

EXECUTIONS = Path("logs/executions.tsv")  # one line per executed stage item: what really ran
CHANGED = Path("logs/changed")  # items whose content has changed, and the input that makes them run
SEEN = Path("logs/code.seen")  # hash of the sources when data/code was last updated
SHOWN = Path("workflow/report/shown.yaml")  # outputs for `snakemake --report`
