"""The training loop: take batches, step, log, sometimes finish a row of the history or save a checkpoint."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from dgreid.images.batch import Batch
from dgreid.images.loader import Key
from dgreid.methods.base import Method, Task
from dgreid.training.checkpoint import Checkpoint
from dgreid.training.progress import Progress

log = logging.getLogger(__name__)

# Losses are shown this seldom because reading them waits for the device.
SECONDS_BETWEEN_UPDATES = 2  # of the progress bar on a terminal
SECONDS_BETWEEN_LINES = 30  # in a log file


def fit(
    method: Method,
    load: Callable[[list[Key]], Iterator[Batch]],
    task: Task,
    checkpoint: Checkpoint,
    checkpoint_every: int,
    title: str = "",
    survey: Callable[[], Iterator[Batch]] | None = None,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Train `method` to the end, from its checkpoint if there is one.

    Args:
        load: gives the batches of the (stream, number) keys, in order, on the training device.
        checkpoint_every: iterations.
        survey: gives every training image once, for `Method.start`; None: the method has been started.

    Returns:
        The history (one row per `task.iterations` / 100 iterations: mean losses, learning rate) and the
        cost (seconds and images of this and earlier, interrupted attempts).

    Raises:
        UserError: a loss is not finite.
    """
    state = checkpoint.load(method)
    if state is None and survey:
        method.start(survey)
    progress = Progress(method.samplers, state)
    if progress.iteration:
        log.info("%s: resuming at iteration %d.", title, progress.iteration)
    remaining = range(progress.iteration, task.iterations)
    source = load(keys(method, remaining, progress.taken))
    method.train()
    bar = _Bar(remaining, task, title)
    for iteration in bar.iterations:
        batches = progress.take(source, method.draws(iteration))
        losses = method.step(batches, iteration)
        progress.log(losses)
        if progress.ends_row(task):
            progress.add_row(method, task)
        bar.show(losses, progress)
        if progress.iteration % checkpoint_every == 0 and progress.iteration < task.iterations:
            progress.totals(task)  # refuses to save a training whose loss is not finite
            checkpoint.save(method, progress.state())
    return pd.DataFrame(progress.history), {"seconds": progress.seconds, "images": progress.images}


def keys(method: Method, iterations: range, taken: Mapping[str, int]) -> list[Key]:
    """Every batch that `iterations` will take, in order, after `taken` of each stream."""
    upcoming, order = dict(taken), []
    for iteration in iterations:
        for name, count in method.draws(iteration).items():
            order += [(name, upcoming[name] + i) for i in range(count)]
            upcoming[name] += count
    return order


class _Bar:
    """A progress bar over `iterations` on a terminal, otherwise lines in the log."""

    def __init__(self, iterations: range, task: Task, title: str):
        self.task, self.title = task, title
        settings: dict[str, Any] = {"initial": iterations.start, "total": task.iterations, "unit": "it"}
        self.iterations = tqdm(iterations, desc=title, disable=None, **settings)
        self._wait()

    def _wait(self) -> None:
        pause = SECONDS_BETWEEN_LINES if self.iterations.disable else SECONDS_BETWEEN_UPDATES
        self.next_time = time.perf_counter() + pause

    def show(self, losses: Mapping[str, torch.Tensor], progress: Progress) -> None:
        """Show the latest losses and the speed, if enough time has passed since the last time."""
        if time.perf_counter() < self.next_time:
            return
        self._wait()
        rate = progress.images / progress.seconds
        shown = {name: f"{float(loss):.3g}" for name, loss in losses.items()} | {"img/s": f"{rate:.0f}"}
        if self.iterations.disable:
            line = ", ".join(f"{name} {value}" for name, value in shown.items())
            log.info("%s: iteration %d of %d: %s", self.title, progress.iteration, self.task.iterations, line)
        else:
            self.iterations.set_postfix(shown, refresh=False)
