"""Stage synthesize: draw a miniature data set, written like the archive of the real set that it imitates."""

import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.device import threads
from dgreid.errors import UserError
from dgreid.files import whole
from dgreid.miniature import writers
from dgreid.miniature.render import World
from dgreid.paths import ARCHIVES


def synthesize(dataset: str) -> Path:
    """Draw `dataset` into data/archives/<dataset>.zip; equal parameters give equal bytes.

    Returns:
        The archive's path.

    Raises:
        UserError: the data set has no `miniature` section, or its sizes do not fit its layout.
    """
    config = load_dataset(dataset)
    if config.miniature is None:
        raise UserError(f"params/dataset/{dataset}.yaml has no `miniature` section: adopt real data instead.")
    path = ARCHIVES / f"{dataset}.zip"
    with whole(path) as part:
        write_archive(config, part, processes=threads())
    return path


def write_archive(config: DatasetConfig, path: Path, processes: int = 1) -> None:
    """Draw and write the archive at `path`; the number of processes does not change a byte."""
    drawn = config.miniature
    writer = writers.writer(drawn.layout or config.parser)
    world = World(config.name, drawn.seed, drawn.spread)
    items = writer.plan(drawn.sizes, world)
    jobs = [(config.name, drawn.seed, drawn.spread, writer.ENCODING, item) for item in items]
    contents = tqdm(_contents(jobs, processes), config.name, len(jobs), disable=None, unit="image")
    pairs = zip(items, contents, strict=True)
    if hasattr(writer, "pack"):
        files = writer.pack(list(pairs), drawn.sizes, world)
    else:
        files = ((item.path, content) for item, content in pairs)
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"Drawn by dgreid; shows no real person."
        for name, content in files:
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            kind = zipfile.ZIP_DEFLATED if name.endswith(".bmp") else zipfile.ZIP_STORED
            archive.writestr(entry, content, compress_type=kind)


def _contents(jobs: list[tuple], processes: int) -> Iterator[bytes]:
    """Yield the encoded images, in the order of the jobs."""
    if processes == 1:
        yield from map(_draw, jobs)
        return
    # spawned, because a forked child would inherit locks held by the parent's threads
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_draw, jobs, chunksize=32)


def _draw(job: tuple) -> bytes:
    domain, seed, spread, encoding, item = job
    return writers.draw(item, _world(domain, seed, spread), encoding)


@lru_cache(1)
def _world(domain: str, seed: int, spread: float) -> World:
    return World(domain, seed, spread)
