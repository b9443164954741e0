"""Evaluate a trained method on every target and split of a protocol.

Each image is embedded once, in eval mode, without test-time augmentation, in the method's precision: float32,
or float64 if it was trained in it. Every split then takes the embeddings of its queries and gallery.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from dgreid.device import computing_in
from dgreid.errors import UserError
from dgreid.evaluation.ranked import Ranking
from dgreid.evaluation.ranking import rank, rank_rows
from dgreid.images.normalise import normalise
from dgreid.images.pack import Pack
from dgreid.methods.base import Method
from dgreid.protocols import Protocol

Items = TypeVar("Items", bound=Sequence | np.ndarray)

BATCH = 128  # images embedded at a time, as in MetaBIN's released evaluation
RANKS = (1, 5, 10)
SAME_SHARE = 1e-6  # of the largest number of a vector: numbers that differ by less are equal
BITS = 40  # of a float64 score that count in a ranking; the others hold rounding errors


def run_protocol(
    method: Method, protocol: Protocol, open_pack: Callable[[str], Pack], device: torch.device
) -> dict[str, list[Ranking]]:
    """Rank every split of every target; return, by target, one ranking per split.

    Args:
        method: the trained method, on `device`.
        protocol: whose targets are evaluated.
        open_pack: returns the pixels of a data set, `pack[rows] -> (n, H, W, 3)` uint8.
        device: where images are embedded and compared.

    Raises:
        UserError: a target's splits repeat each other, or the method gives the same vector for every image.
    """
    results = {}
    for name, splits in protocol.targets.items():
        check_splits(name, splits)
        images = pd.concat([frame for pair in splits for frame in pair])
        rows, features = embed_images(method, images, open_pack, device)
        check_features(name, features)
        results[name] = [rank_split(method, query, gallery, rows, features) for query, gallery in splits]
    return results


def embed_images(
    method: Method, images: pd.DataFrame, open_pack: Callable[[str], Pack], device: torch.device
) -> tuple[dict[str, np.ndarray], dict[str, Tensor]]:
    """Embed the images of one target, each once; a method that adapts first adapts to each camera's images.

    Args:
        method: the trained method, on `device`.
        images: columns dataset, row and camera; for a method that adapts, all images of the target.
        open_pack: as in `run_protocol`.
        device: where images are embedded.

    Returns:
        By data set, the rows of its pack (n,), rising, and their embeddings (n, ...); see `pick`.
    """
    rows, features = {}, {}
    for dataset, part in sorted(images[["dataset", "row", "camera"]].groupby("dataset", observed=True)):
        part = part.drop_duplicates("row").sort_values("row")
        rows[dataset] = part["row"].to_numpy(np.int64)
        cameras = part["camera"].to_numpy() if method.adapt else None
        features[dataset] = embed(method, open_pack(dataset), rows[dataset], device, cameras)
    return rows, features


@torch.inference_mode()
def embed(
    method: Method,
    pixels: Pack,
    rows: np.ndarray,
    device: torch.device,
    cameras: np.ndarray | None = None,
) -> Tensor:
    """Embed some rows of a pack, (n, ...).

    If `cameras` (n,) is given, the method adapts to the images of each camera before it embeds them; see
    `Method`.
    """
    if cameras is None:
        parts = tqdm(
            batched(rows, BATCH), "embedding", -(-len(rows) // BATCH), disable=None, unit="batch", leave=False
        )
        return torch.cat(list(embed_batches(method, (pixels[part] for part in parts), device)))
    places = [np.flatnonzero(cameras == camera) for camera in np.unique(cameras)]
    found = []
    for here in places:
        method.eval()
        with computing_in(method.dtype):
            method.adapt(load(pixels[part], device, method.dtype) for part in batched(rows[here], BATCH))
        found.append(embed(method, pixels, rows[here], device))
    return torch.cat(found)[torch.from_numpy(np.argsort(np.concatenate(places)))]  # back in order


@torch.inference_mode()
def embed_batches(method: Method, batches: Iterable[np.ndarray], device: torch.device) -> Iterator[Tensor]:
    """Embed pixels in eval mode, batch by batch: (n, H, W, 3) uint8 -> (n, ...) on the device."""
    method.eval()
    for pixels in batches:
        with computing_in(method.dtype):
            found = method.embed(load(pixels, device, method.dtype)).to(method.dtype)
        yield found


def load(pixels: np.ndarray, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Normalise pixels on the device, (n, H, W, 3) uint8 -> (n, 3, H, W) of `dtype`."""
    return normalise(torch.from_numpy(pixels).to(device), dtype)


def batched(items: Items, size: int) -> Iterator[Items]:
    """Cut an array or a sequence into slices of at most `size` items."""
    return (items[start : start + size] for start in range(0, len(items), size))


@torch.inference_mode()
def rank_split(
    method: Method, query, gallery, rows: Mapping[str, np.ndarray], features: Mapping[str, Tensor]
) -> Ranking:
    """Rank one split: `query` and `gallery` are rows of a protocol; features[d][i] belongs to rows[d][i]."""
    q, g = pick(query, rows, features), pick(gallery, rows, features)  # (Nq, ...), (Ng, ...)
    labels = (
        query["identity"].to_numpy(),
        gallery["identity"].to_numpy(),
        query["camera"].to_numpy(),
        gallery["camera"].to_numpy(),
    )
    exact = method.dtype == torch.float64
    if type(method).similarity is Method.similarity and not exact:  # cosine: a product of features
        return rank(q, g, *labels, ranks=RANKS)

    def rows_of(start: int, stop: int) -> Tensor:
        with computing_in(method.dtype):
            similar = method.similarity(q[start:stop], g)
        return settled(similar) if exact else similar

    return rank_rows(rows_of, (len(q), len(g)), *labels, ranks=RANKS)


def settled(scores: Tensor) -> Tensor:
    """Round float64 scores so that equal images tie on every processor, (Nq, Ng) -> (Nq, Ng).

    A processor may sum the columns of two equal images in different orders, so that one of them is ahead by
    the last bit. Scores become multiples of 2^-BITS of the power of two above their row's largest; a tie goes
    to the lower gallery index, as in `evaluation.ranking`.
    """
    above = scores.abs().amax(1, keepdim=True).frexp().exponent  # (Nq, 1)
    return scores.ldexp(BITS - above).round().ldexp(above - BITS)


def pick(frame, rows: Mapping[str, np.ndarray], features: Mapping[str, Tensor]) -> Tensor:
    """Pick the features of the frame's images, in the frame's order, (n, ...); see `embed_images`."""
    some = next(iter(features.values()))
    picked = some.new_empty(len(frame), *some.shape[1:])
    datasets, numbers = frame["dataset"].to_numpy(), frame["row"].to_numpy()
    for dataset in features:
        here = np.flatnonzero(datasets == dataset)
        found = np.searchsorted(rows[dataset], numbers[here])
        picked[torch.from_numpy(here)] = features[dataset][torch.from_numpy(found)]
    return picked


def check_features(target: str, features: Mapping[str, Tensor]) -> None:
    """Refuse a target whose images all have the same representation, whose order would mean nothing.

    Args:
        target: its name, for the message.
        features: by data set, (n, ...) each.

    Raises:
        UserError: they are the same for every image.
    """
    if sum(map(len, features.values())) < 2:
        return
    highest = torch.stack([part.amax(0) for part in features.values()]).amax(0)
    lowest = torch.stack([part.amin(0) for part in features.values()]).amin(0)
    if (highest - lowest).max() <= SAME_SHARE * torch.maximum(highest.abs(), lowest.abs()).max():
        raise UserError(
            f"target {target}: the model gives the same vector for every image, so its training has failed: "
            "train it with other settings, such as a lower recipe.learning_rate_factor."
        )


def check_splits(target: str, splits: list[tuple]) -> None:
    """Refuse a target whose splits repeat each other: their spread would mean nothing.

    Raises:
        UserError: two splits have the same query and gallery images, or there is no split.
    """
    if not splits:
        raise UserError(f"target {target} has no splits; make the protocol again.")
    seen: dict[tuple, int] = {}
    for number, pair in enumerate(splits):
        images = tuple(tuple(sorted(frame["image_id"])) for frame in pair)
        if images in seen:
            raise UserError(
                f"target {target}: split {number} repeats split {seen[images]}; make its manifest again."
            )
        seen[images] = number
