"""From training rows to batches on the device, in the background where the device is a GPU."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dgreid.device import threads
from dgreid.images.augment import augment, normalise
from dgreid.images.batch import Batch
from dgreid.images.config import ImageConfig
from dgreid.images.pack import Pack
from dgreid.images.samplers import Stream, generator

Key = tuple[str, int]  # (stream name, batch number)
Pixels = tuple[Tensor, Tensor, Tensor]  # images (N, H, W, 3) uint8, identities (N,), domains (N,)


SURVEY = 256  # images looked at together before training


class TrainingImages(Dataset):
    """Augmented uint8 batches by key: the same key gives the same bytes in any process, in any order."""

    def __init__(
        self,
        train: pd.DataFrame,
        packs: Mapping[str, Pack],
        image: ImageConfig,
        streams: Mapping[str, Stream],
        seed: int,
    ):
        self.datasets = sorted(packs)
        self.packs = [packs[name] for name in self.datasets]
        self.dataset = (
            train["dataset"].map({name: i for i, name in enumerate(self.datasets)}).to_numpy(np.int64)
        )
        self.row = train["row"].to_numpy(np.int64)
        self.identities = torch.from_numpy(train["identity"].to_numpy(np.int64, copy=True))
        self.domains = torch.from_numpy(train["domain"].to_numpy(np.int64, copy=True))
        self.image, self.streams, self.seed = image, streams, seed

    def __getitem__(self, key: Key) -> Pixels:
        """The batch of a key."""
        name, number = key
        rows = self.streams[name].batch(number)
        images = augment(self.gather(rows), self.image, generator(self.seed, name, "augment", number))
        return torch.from_numpy(images), self.identities[rows], self.domains[rows]

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The stored pixels of training rows, (n, H, W, 3) uint8."""
        images = np.empty((len(rows), self.image.height, self.image.width, 3), np.uint8)
        for number, pack in enumerate(self.packs):
            here = self.dataset[rows] == number
            images[here] = pack[self.row[rows[here]]]
        return images


def batches(
    images: TrainingImages, keys: Sequence[Key], device: torch.device, workers: int | None = None
) -> Iterator[Batch]:
    """The batches of `keys`, in order, on `device`; they do not depend on `workers`.

    Args:
        workers: processes that prepare batches ahead; 0: this one does it, when asked. None: 0 on a CPU,
            where the cores are busy training, `config.threads()` beside a GPU.
    """
    if workers is None:
        workers = threads() if device.type == "cuda" else 0
    source: Iterable[Pixels] = (images[key] for key in keys)
    if workers:
        source = DataLoader(
            images,
            batch_size=None,  # a key already names a whole batch
            sampler=keys,
            num_workers=workers,
            prefetch_factor=4,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # the loader must not draw from the global one
        )
    for pixels in source:
        yield _on(device, pixels)


def survey(images: TrainingImages, device: torch.device) -> Iterator[Batch]:
    """Every training image once, in the order of the rows, unaugmented, on `device`."""
    for rows in torch.arange(len(images.identities)).split(SURVEY):
        pixels = torch.from_numpy(images.gather(rows.numpy()))
        yield _on(device, (pixels, images.identities[rows], images.domains[rows]))


def _on(device: torch.device, pixels: Pixels) -> Batch:
    images, identities, domains = (part.to(device, non_blocking=True) for part in pixels)
    return Batch(normalise(images), identities, domains)
