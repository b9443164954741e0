"""Embed person crops with a trained run: from a folder of images to one parquet file of embeddings.

Memory holds one batch of images and one row group of embeddings, whatever the number of crops.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from tqdm import tqdm

from dgreid import sealed
from dgreid.datasets import walk
from dgreid.datasets.images import SUFFIXES, open_image
from dgreid.device import prepare, threads
from dgreid.errors import UserError
from dgreid.evaluation.runner import BATCH, batched, embed_batches
from dgreid.files import check_room, sha256, whole
from dgreid.images.config import ImageConfig
from dgreid.images.pack import load
from dgreid.inference import place
from dgreid.runs.rehearsal import embedded
from dgreid.runs.run import find, restore

log = logging.getLogger(__name__)

ROW_GROUP = 4 * 2**20  # bytes of embeddings in one row group, which are written and read together
READ_AT_ONCE = 1024  # images per batch when checking that all are readable
MOST_NAMED = 10  # unreadable images in an error


class Embedder:
    """A trained run on its device, which turns crops into embeddings.

    Attributes:
        run: a folder name in data/runs.
        model: SHA-256 of its model file; embeddings of different models cannot be compared.
        method: the trained method, whose `similarity` compares embeddings.
        image: the size crops are resized to.
        shape: of one embedding; (d,) for most methods, several axes if a method compares maps.

    Raises:
        UserError: no such run, a damaged one, or a method that does not give one embedding per image.

    A method that adapts to each camera's images is used without that, with a warning: crops come without
    their cameras.
    """

    def __init__(self, run: str):
        folder = find(run)
        self.device = prepare(seed=0)
        method, facts = restore(folder)
        self.run, self.model = run, sha256(folder / "model.safetensors")
        self.method = method.to(self.device)
        self.image = ImageConfig.model_validate(facts["config"]["image"])
        size = self.image.height, self.image.width
        blank = torch.zeros(2, 3, *size, dtype=method.dtype, device=self.device)
        self.shape = tuple(embedded(self.method, blank, run).shape[1:])
        if method.adapt:
            log.warning(
                "run %s adapts to each camera's images before it embeds them, and its scores in tables are "
                "with that; crops come without their cameras, so here it does not adapt.",
                run,
            )

    @property
    def number(self) -> pa.DataType:
        """The type of the numbers of an embedding: that of the run's precision."""
        return pa.float64() if self.method.dtype == torch.float64 else pa.float32()

    def batches(self, folder: Path, paths: Sequence[str]) -> Iterator[tuple[Sequence[str], Tensor]]:
        """Embed images batch by batch: yields some of `paths` and their embeddings (n, *shape), in order.

        Raises:
            UserError: an image cannot be read, or its embedding is not finite.
        """
        with (
            ThreadPoolExecutor(threads()) as pool,
            tqdm(total=len(paths), desc="embedding", unit="img", disable=None) as bar,
        ):
            pixels = (
                np.stack(list(pool.map(lambda path: load(folder, path, self.image), some)))  # (n, H, W, 3)
                for some in batched(paths, BATCH)
            )
            embedded = embed_batches(self.method, pixels, self.device)
            for some, features in zip(batched(paths, BATCH), embedded, strict=True):
                broken = ~features.flatten(1).isfinite().all(1)
                if bool(broken.any()):
                    first = some[int(broken.int().argmax())]
                    raise UserError(
                        f"{folder / first}: run {self.run} gives an embedding that is not finite; "
                        "train it again."
                    )
                yield some, features
                bar.update(len(some))


def embed(run: str, folder: Path, out: Path, skip_unreadable: bool = False) -> Path:
    """Write a parquet file with one row per image below `folder`: its relative path and its embedding.

    Args:
        run: a folder name in data/runs.
        folder: person crops, at any depth; sorted by path.
        out: a parquet file with columns path (string) and embedding (list of float32, or of float64 if the
            run was trained in it; row-major if an embedding has several axes). Its metadata are run,
            model_sha256, shape (JSON) and folder. Compare embeddings by cosine, unless the method has a
            similarity of its own.
        skip_unreadable: leave out images that cannot be read, with a warning, instead of raising an error.

    Returns:
        `out`, which is written completely or not at all.

    Raises:
        UserError: no such run, no images, or images that cannot be read; nothing is embedded then.
    """
    if out.is_dir():
        raise UserError(f"{out} is a folder: give --out the name of a parquet file in it.")
    place.check(out, is_embedded)
    embedder = Embedder(run)
    paths = readable(folder, crops(folder), skip_unreadable)
    size = int(np.prod(embedder.shape))
    facts = {
        "run": run,
        "model_sha256": embedder.model,
        "shape": json.dumps(embedder.shape),
        "folder": str(folder.resolve()),
    }
    number = embedder.number
    schema = pa.schema([("path", pa.string()), ("embedding", pa.list_(number, size))], metadata=facts)
    width = number.byte_width * size
    check_room(out, len(paths) * width, out.name)
    with whole(out) as part, pq.ParquetWriter(part, schema) as writer:
        for some, features in _gathered(embedder.batches(folder, paths), max(1, ROW_GROUP // width)):
            numbers = pa.array(features.ravel())
            rows = [pa.array(some, pa.string()), pa.FixedSizeListArray.from_arrays(numbers, size)]
            writer.write_table(pa.Table.from_arrays(rows, schema=schema))
        writer.add_key_value_metadata(sealed.PARQUET)
        writer.close()
        sealed.seal(part)
    return out


def is_embedded(path: Path) -> bool:
    """Whether a file is one that `embed` writes, by its columns."""
    try:
        return "embedding" in pq.read_schema(path).names
    except (OSError, pa.ArrowException):
        return False


def crops(folder: Path) -> list[str]:
    """List the images below `folder`: relative paths, sorted; says what else is there. See `datasets.walk`.

    Raises:
        UserError: not a folder, a part that cannot be read, no images in it, or a name that is not UTF-8.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder that holds the person crops.")
    found = list(walk.walk(folder))
    paths, left_out = walk.images(found), walk.left_out(found)
    if left_out:
        log.warning("%s: not taken: %s.", folder, left_out)
    if not paths:
        raise UserError(f"{folder} holds no images ({', '.join(SUFFIXES)}); give another folder.")
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{folder}: the name {path!r} is not UTF-8; rename the file.") from error
    return paths


def readable(folder: Path, paths: Sequence[str], skip: bool = False) -> list[str]:
    """Check that images can be read, by decoding each once, so that nothing fails after hours of work.

    Args:
        folder: the folder that `paths` are relative to.
        paths: images.
        skip: leave out unreadable images, with a warning.

    Raises:
        UserError: some images cannot be read (unless `skip`), or none can.
    """
    bad: dict[str, str] = {}
    with (
        ThreadPoolExecutor(threads()) as pool,
        tqdm(total=len(paths), desc="checking", unit="img", disable=None) as bar,
    ):
        for some in batched(paths, READ_AT_ONCE):
            faults = pool.map(lambda path: _fault(folder, path), some)
            bad |= {path: fault for path, fault in zip(some, faults, strict=True) if fault is not None}
            bar.update(len(some))
    if not bad:
        return list(paths)
    more = f" and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
    first, them = next(iter(bad)), "them" if len(bad) > 1 else "it"
    named = ", ".join(list(bad)[:MOST_NAMED])
    sentence = (
        f"{folder}: {len(bad)} of {len(paths)} images cannot be read: {named}{more}; {first}: {bad[first]}"
    )
    if len(bad) == len(paths):
        raise UserError(f"{sentence}.")
    if not skip:
        raise UserError(f"{sentence}; or leave {them} out with --skip-unreadable.")
    log.warning("%s; leaving %s out.", sentence, them)
    return [path for path in paths if path not in bad]


def _fault(folder: Path, path: str) -> str | None:
    """Why an image cannot be read, and what to do; None if it can."""
    try:
        open_image(folder, path)
    except UserError as error:
        return str(error).removeprefix(f"{folder / path}: ").removesuffix(".")
    return None


def _gathered(
    batches: Iterator[tuple[Sequence[str], Tensor]], rows: int
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Join batches until they have at least `rows` rows, so that row groups are large enough to read fast."""
    names: list[str] = []
    parts: list[np.ndarray] = []
    for some, features in batches:
        names += some
        parts.append(features.cpu().numpy())
        if len(names) >= rows:
            yield names, np.concatenate(parts)
            names, parts = [], []
    if names:
        yield names, np.concatenate(parts)
