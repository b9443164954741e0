"""Turn training rows into batches on the device, in background processes if the device is a GPU."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dgreid.device import threads
from dgreid.errors import UserError
from dgreid.images.augment import augment
from dgreid.images.batch import Batch
from dgreid.images.config import TRAIN, ImageConfig
from dgreid.images.normalise import normalise
from dgreid.images.pack import Pack
from dgreid.images.samplers import AnyStream
from dgreid.images.streams import generator

Key = tuple[str, int]  # (stream name, batch number)

SURVEY_BATCH = 256  # images per batch of `survey`


class Pixels(NamedTuple):
    """A batch before it is moved to the device and normalised."""

    views: Sequence[Tensor]  # (N, H, W, 3) uint8 each
    identities: Tensor  # (N,) long
    domains: Tensor  # (N,) long
    rows: Tensor  # (N,) long


class TrainingImages(Dataset):
    """Augmented uint8 batches by key: the same key gives the same bytes in any process, in any order.

    Args:
        train: the training set, one row per image.
        packs: the pixels of each data set.
        streams: the streams of rows of `train`, by name.
        views: the views of each stream; a stream that is missing here has only `train`.
        dtype: of the normalised images that `batches` and `survey` make of them.

    Raises:
        UserError: a stream asks for a view that the image configuration does not have.
    """

    def __init__(
        self,
        train: pd.DataFrame,
        packs: Mapping[str, Pack],
        image: ImageConfig,
        streams: Mapping[str, AnyStream],
        seed: int,
        views: Mapping[str, Sequence[str]] | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.datasets = sorted(packs)
        self.packs = [packs[name] for name in self.datasets]
        self.dataset = (
            train["dataset"].map({name: i for i, name in enumerate(self.datasets)}).to_numpy(np.int64)
        )
        self.row = train["row"].to_numpy(np.int64)
        self.identities = torch.from_numpy(train["identity"].to_numpy(np.int64, copy=True))
        self.domains = torch.from_numpy(train["domain"].to_numpy(np.int64, copy=True))
        self.image, self.streams, self.seed, self.dtype = image, streams, seed, dtype
        self.views = {name: (TRAIN,) for name in streams} | dict(views or {})
        for name, asked in self.views.items():
            if len(set(asked)) < len(asked):
                raise UserError(
                    f"the method's sampler '{name}' asks for a view twice ({', '.join(asked)}): views of one "
                    "name are equal; name two views, which may list the same operations."
                )
            for view in asked:
                if view != TRAIN and view not in image.views:
                    raise UserError(
                        f"the method's sampler '{name}' asks for the view '{view}', but image {image.name} "
                        f"has {', '.join((TRAIN, *image.views))}: choose another image=NAME, or add that "
                        f"view to `views` of params/image/{image.name}.yaml."
                    )

    def __getitem__(self, key: Key) -> Pixels:
        """Make the batch of a key; its pixels are read once for all views."""
        name, number = key
        rows = self.streams[name].batch(number)
        stored = self.gather(rows)
        views = tuple(self._view(stored, view, name, number) for view in self.views[name])
        places = torch.from_numpy(rows)
        return Pixels(views, self.identities[places], self.domains[places], places)

    def _view(self, stored: np.ndarray, view: str, name: str, number: int) -> Tensor:
        place = (number,) if view == TRAIN else (view, number)  # each view has its own random numbers
        rng = generator(self.seed, name, "augment", *place)
        return torch.from_numpy(augment(stored, self.image.operations(view), rng))

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Read the stored pixels of training rows, (n, H, W, 3) uint8."""
        images = np.empty((len(rows), self.image.height, self.image.width, 3), np.uint8)
        for number, pack in enumerate(self.packs):
            here = self.dataset[rows] == number
            images[here] = pack[self.row[rows[here]]]
        return images


def batches(
    images: TrainingImages, keys: Sequence[Key], device: torch.device, workers: int | None = None
) -> Iterator[Batch]:
    """Yield the batches of `keys`, in order, on `device`; they do not depend on `workers`.

    Args:
        workers: processes that prepare batches in advance; 0: this process prepares each batch when it is
            needed. None: 0 on a CPU, whose cores are busy training, else `device.threads()`.
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
            generator=torch.Generator(),  # the loader must not use the global generator
        )
    for pixels in source:
        yield _on(device, pixels, images.dtype)


def survey(images: TrainingImages, device: torch.device) -> Iterator[Batch]:
    """Yield every training image once, in the order of the rows, unaugmented, on `device`."""
    for rows in torch.arange(len(images.identities)).split(SURVEY_BATCH):
        pixels = torch.from_numpy(images.gather(rows.numpy()))
        labelled = Pixels((pixels,), images.identities[rows], images.domains[rows], rows)
        yield _on(device, labelled, images.dtype)


def _on(device: torch.device, pixels: Pixels, dtype: torch.dtype) -> Batch:
    views, *labels = pixels
    normalised = tuple(normalise(view.to(device, non_blocking=True), dtype) for view in views)
    identities, domains, rows = (label.to(device, non_blocking=True) for label in labels)
    return Batch(normalised[0], identities, domains, normalised, rows)
