"""Stage pretrain: draw things, train a backbone to name them -> data/start/<backbone>.safetensors, in git."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from dgreid import sealed
from dgreid.device import prepare, threads
from dgreid.files import whole
from dgreid.miniature.looks import Class, draw_classes
from dgreid.miniature.pictures import SIZE, draw
from dgreid.miniature.things import KINDS
from dgreid.networks.backbones import build, load_backbone
from dgreid.networks.weights import start_of
from dgreid.training.start import accuracy, learn, load_start

log = logging.getLogger(__name__)

HELD_OUT = 2  # pictures of each class that are not trained on, to say how well it is named


def pretrain(backbone: str) -> Path:
    """Train params/backbone/BACKBONE.yaml on drawn things and keep its weights, float32.

    The same settings give the same file on one machine, with any number of drawing processes; the training
    has one thread.

    Raises:
        UserError: there is no such backbone.
    """
    options, config = load_backbone(backbone), load_start()
    processes = threads()
    prepare(config.seed)
    torch.set_num_threads(1)
    network = build(options, size=SIZE)
    classes = draw_classes(tuple(KINDS), config.looks, config.seed)
    training = range(config.pictures)
    tests = range(config.pictures, config.pictures + HELD_OUT)
    pictures, names = gather(classes, config.seed, training, processes)
    classifier = learn(network, pictures, names, config)
    right = accuracy(network, classifier, *gather(classes, config.seed, tests, processes))
    log.info("%s: names %.1f %% of new pictures of %d classes of things", backbone, right, len(classes))
    path = start_of(backbone)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with whole(path) as part:
        part.write_bytes(save(state, {sealed.FIELD: sealed.PLACE.decode()}))
        sealed.seal(part)
    return path


def gather(
    classes: Sequence[Class], seed: int, numbers: Sequence[int], processes: int = 1
) -> tuple[Tensor, Tensor]:
    """Draw pictures of each class: (N, 64, 32, 3) uint8 and their classes (N,), class by class."""
    jobs = [(named, seed, numbers) for named in classes]
    drawn = list(tqdm(_drawn(jobs, processes), "things", len(jobs), disable=None, unit="class"))
    names = torch.arange(len(classes)).repeat_interleave(len(numbers))
    return torch.from_numpy(np.concatenate(drawn)), names


def _drawn(jobs: list[tuple], processes: int) -> Iterator[np.ndarray]:
    if processes == 1:
        yield from map(_draw, jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_draw, jobs, chunksize=4)


def _draw(job: tuple[Class, int, Sequence[int]]) -> np.ndarray:
    named, seed, numbers = job
    return np.stack([draw(named, seed, number) for number in numbers])
