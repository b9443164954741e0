"""A trained run applied to a folder of person crops."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from dgreid.config import ImageConfig
from dgreid.errors import UserError, unknown
from dgreid.files import whole
from dgreid.images.augment import normalise
from dgreid.images.pack import load
from dgreid.stages.train import RUNS, prepare, restore

BATCH = 128
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def embed(run: str, folder: Path, out: Path) -> Path:
    """Write one row per image below `folder`: its relative path and its embedding.

    Args:
        run: a folder name in data/runs.
        folder: person crops, at any depth; sorted by path.
        out: a parquet file with columns path (string) and embedding (list of float32). Compare embeddings
            by cosine, unless the method has a similarity of its own.

    Raises:
        UserError: no such run, no images, or an image that cannot be read.
    """
    if not (RUNS / run).is_dir():
        raise unknown("run", run, (path.name for path in RUNS.glob("*") if path.is_dir()))
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give --images the folder that holds the person crops.")
    paths = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES
    )
    if not paths:
        raise UserError(f"{folder} holds no images ({', '.join(sorted(SUFFIXES))}).")
    device = prepare(seed=0)
    method, facts = restore(RUNS / run)
    method.to(device)
    image = ImageConfig.model_validate(facts["config"]["image"])
    features = []
    for start in tqdm(range(0, len(paths), BATCH), "embedding", unit="batch", disable=None):
        pixels = np.stack([load(folder, path, image) for path in paths[start : start + BATCH]])
        with torch.inference_mode():  # (n, H, W, 3) -> (n, d)
            features.append(method.embed(normalise(torch.from_numpy(pixels).to(device))).float().cpu())
    matrix = torch.cat(features).numpy()
    rows = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    table = pa.table({"path": paths, "embedding": rows}, metadata={"run": run})
    with whole(out) as part:
        pq.write_table(table, part)
    return out
