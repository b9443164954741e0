"""Rank a gallery of person crops for query crops with a trained run; write the ranking and a contact sheet.

Works with any method: crops are compared by the method's `similarity`, some queries with one batch of the
gallery at a time. Memory holds the queries' embeddings, one gallery batch, and each query's best matches.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from math import prod
from pathlib import Path, PurePath
from typing import NamedTuple
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from dgreid import sealed
from dgreid.datasets.walk import is_image
from dgreid.device import computing_in
from dgreid.errors import UserError
from dgreid.evaluation.runner import BATCH, batched
from dgreid.files import whole
from dgreid.inference import place
from dgreid.inference.embed import Embedder, crops, readable
from dgreid.reporting.site.environment import environment
from dgreid.sheets import csv

log = logging.getLogger(__name__)

QUERIES_AT_ONCE = 256  # queries compared at a time
RANKING = "ranking.csv"
PER_PAGE = 100  # queries on one page of the contact sheet
COPIES = "images"  # folder in `out` for copied images


class Crops(NamedTuple):
    """Images of one folder and their embeddings."""

    folder: Path
    paths: list[str]  # relative to `folder`
    batches: Iterable[Tensor]  # (n, *shape) each, in the order of `paths`


def search(
    run: str,
    query: Path,
    gallery: Path,
    out: Path,
    top: int = 20,
    copy: bool = False,
    skip_unreadable: bool = False,
) -> Path:
    """Rank the gallery for every query; write `out`/ranking.csv and the contact sheet `out`/index.html.

    ranking.csv has the columns query, rank (from 1), gallery, score (the method's similarity, higher is
    closer; cosine for most); equal scores keep the gallery's order. The sheet shows the original images by
    relative links; other files in `out` are kept.

    Args:
        run: a folder name in data/runs.
        query: an image, or a folder of them at any depth. An image that is also in the gallery finds itself.
        gallery: a folder of crops, or the parquet file that `embed` made of one with the same model.
        out: a folder; created if missing.
        top: gallery images per query.
        copy: link copies of the images shown, in `out`/images, so that `out` can be moved.
        skip_unreadable: leave out images that cannot be read, with a warning, instead of raising an error.

    Returns:
        The contact sheet's first page.

    Raises:
        UserError: no such run, no images, images that cannot be read, a gallery of another model, or an
            `out` among the project's own folders.
    """
    if top < 1:
        raise UserError(f"--top {top}: give 1 or more gallery images per query.")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give --out a folder.")
    place.check(out, lambda folder: (folder / RANKING).is_file())
    if copy and any(folder.is_dir() and out.resolve() == folder.resolve() for folder in (query, gallery)):
        raise UserError(f"--out {out} is searched, so copies would be found again: give another folder.")
    embedder = Embedder(run)
    asked = _folder(embedder, query, skip_unreadable)
    ranked = _parquet(embedder, gallery) if gallery.is_file() else _folder(embedder, gallery, skip_unreadable)
    queries = torch.cat(list(asked.batches))  # (Nq, *shape)
    with torch.inference_mode(), computing_in(embedder.method.dtype):
        scores, rows = nearest(embedder.method.similarity, queries, ranked.batches, top)
    found = pd.DataFrame(
        {
            "query": [path for path in asked.paths for _ in range(scores.shape[1])],
            "rank": list(range(1, scores.shape[1] + 1)) * len(asked.paths),
            "gallery": [ranked.paths[row] for row in rows.flatten().tolist()],
            "score": scores.flatten().tolist(),
        }
    )
    out.mkdir(parents=True, exist_ok=True)
    with whole(out / RANKING) as part:
        part.write_text(csv(found, "%.6g"), encoding="utf-8")
    link = _copier(out) if copy else _linker(out)
    return _sheet(out, run, found, asked.folder, ranked.folder, len(ranked.paths), link)


def nearest(
    similarity: Callable[[Tensor, Tensor], Tensor], queries: Tensor, gallery: Iterable[Tensor], top: int
) -> tuple[Tensor, Tensor]:
    """Find the best `top` gallery rows of every query, best first; equal scores keep the gallery's order.

    Args:
        similarity: (q, ...), (g, ...) -> (q, g), higher is closer; pairs do not depend on each other.
        queries: (Nq, ...).
        gallery: batches (n, ...).
        top: number of rows per query; fewer if the gallery has fewer.

    Returns:
        Scores and gallery rows, (Nq, top) each, on the CPU.
    """
    best, rows = torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.long)
    seen = 0
    for features in gallery:
        parts = [similarity(some, features).cpu() for some in queries.split(QUERIES_AT_ONCE)]
        numbers = torch.arange(seen, seen + len(features)).expand(len(queries), -1)  # (Nq, n)
        scores, candidates = torch.cat([best, torch.cat(parts)], 1), torch.cat([rows, numbers], 1)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :top]
        best, rows = scores.gather(1, order), candidates.gather(1, order)
        seen += len(features)
    return best, rows


def _folder(embedder: Embedder, path: Path, skip_unreadable: bool) -> Crops:
    """Embed an image, or the images of a folder; batches are embedded when they are read."""
    if not path.exists():
        raise UserError(f"{path} does not exist: give an image or a folder of person crops.")
    folder, names = (path.parent, [path.name]) if path.is_file() else (path, crops(path))
    names = readable(folder, names, skip_unreadable)
    return Crops(folder, names, (features for _, features in embedder.batches(folder, names)))


def _parquet(embedder: Embedder, path: Path) -> Crops:
    """Read a gallery that `dgreid embed` made with the same model."""
    try:
        if not sealed.check(path):
            sealed.say_unsealed(path)
        file = pq.ParquetFile(path)
        facts = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
        run, model, folder = (facts[key] for key in ("run", "model_sha256", "folder"))
        shape = json.loads(facts["shape"])
        numbers = pa.list_(embedder.number, prod(shape))
        expected = pa.schema([("path", pa.string()), ("embedding", numbers)])
        if [file.schema_arrow.field(name) for name in expected.names] != list(expected):
            raise ValueError("other columns")
        paths = file.read(["path"])["path"].to_pylist()
    except sealed.Damaged as error:
        raise UserError(
            f"{path} is damaged: embed its folder again with `dgreid embed --run {embedder.run}`."
        ) from error
    except (ValueError, KeyError, TypeError) as error:  # ValueError: no parquet, no text, no JSON
        raise UserError(
            f"{path} is not a gallery: give a folder of crops, or the file `dgreid embed` made of one."
        ) from error
    if (run, model) != (embedder.run, embedder.model):
        whose = f"with {run}" if run != embedder.run else f"before {run} was trained again"
        raise UserError(
            f"{path} was embedded {whose}, so {embedder.run} cannot search it: embed the gallery "
            f"with `dgreid embed --run {embedder.run}` first, or give its folder."
        )
    if not paths:
        raise UserError(f"{path} holds no images: embed a folder that has some.")
    _check_below(path, folder, paths, run)
    if not Path(folder).is_dir():
        log.warning("%s, where the gallery was embedded, is gone: the sheet shows only names.", folder)
    return Crops(Path(folder), paths, _stored(path, file, shape, embedder.device))


def _check_below(gallery: Path, folder: str, paths: Iterable[str | None], run: str) -> None:
    """Refuse names that lead out of the folder or are no images, because these files are linked or copied."""
    for path in paths:
        name = PurePath(path or "")
        if name.is_absolute() or ".." in name.parts or not is_image(name.name):
            raise UserError(
                f"{gallery} names {path!r}, which is not an image below {folder}: embed the gallery again "
                f"with `dgreid embed --run {run}`."
            )


def _stored(path: Path, file: pq.ParquetFile, shape: list[int], device: torch.device) -> Iterator[Tensor]:
    """Read the embeddings of a parquet file batch by batch, (n, *shape) each."""
    for rows in file.iter_batches(BATCH, columns=["embedding"]):
        if rows.column("embedding").null_count:
            raise UserError(f"{path} lacks the embedding of an image: embed its folder again.")
        numbers = rows.column("embedding").flatten().to_numpy().copy()
        yield torch.from_numpy(numbers.reshape(-1, *shape)).to(device)


def _linker(out: Path) -> Callable[[Path], str]:
    """Return a function that makes the relative link from a page in `out` to an image."""
    here = out.resolve()
    return lambda file: quote(os.path.relpath(file.resolve(), here))


def _copier(out: Path) -> Callable[[Path], str]:
    """Return a function that copies an image into `out` and makes the link to the copy."""

    def link(file: Path) -> str:
        name = f"{sha256(str(file.resolve()).encode()).hexdigest()[:16]}{file.suffix.lower()}"
        copy = out / COPIES / name
        if name not in done:
            try:
                with whole(copy) as part:
                    shutil.copyfile(file, part)
            except FileNotFoundError as error:
                raise UserError(
                    f"{file} is gone, so it cannot be copied: embed the gallery again in its present folder."
                ) from error
            done.add(name)
        return f"{COPIES}/{name}"

    done: set[str] = set()
    return link


def _sheet(
    out: Path,
    run: str,
    found: pd.DataFrame,
    queries: Path,
    gallery: Path,
    searched: int,
    link: Callable[[Path], str],
) -> Path:
    """Write the contact sheet, PER_PAGE queries on each page; returns its first page."""
    template = environment().get_template("search.html")
    groups = list(found.groupby("query", sort=False))
    pages = list(batched(groups, PER_PAGE))
    names = ["index.html", *(f"index-{number}.html" for number in range(2, len(pages) + 1))]
    for old in sorted(out.glob("index-*.html")):  # of an earlier search with more queries
        if old.name not in names:
            old.unlink()
    for number, (name, part_of_groups) in enumerate(zip(names, pages, strict=True)):
        shown = [
            {
                "name": query,
                "link": link(queries / query),
                "hits": [
                    {
                        "rank": hit.rank,
                        "name": hit.gallery,
                        "score": hit.score,
                        "link": link(gallery / hit.gallery),
                    }
                    for hit in hits.itertuples()
                ],
            }
            for query, hits in part_of_groups
        ]
        html = template.render(
            run=run, shown=shown, total=len(groups), searched=searched, pages=names, number=number
        )
        with whole(out / name) as part:
            part.write_text(html, encoding="utf-8")
    return out / "index.html"
