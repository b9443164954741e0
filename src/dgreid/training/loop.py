"""The training loop: batches in, optimiser steps, a history, a checkpoint now and then."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.images.loader import Key
from dgreid.methods.base import Method, Task
from dgreid.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)

ROWS = 100  # of history.csv, about
LOOK, LOG = 2, 30  # seconds between two looks at the losses: on a terminal, in a log file


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
    progress = checkpoint.load(method)
    if progress is None and survey:
        method.start(survey)
    progress = progress or {
        "iteration": 0,
        "taken": {name: 0 for name in method.samplers},  # batches of each stream
        "history": [],
        "seconds": 0.0,
        "images": 0,
    }
    start, taken, history = progress["iteration"], dict(progress["taken"]), progress["history"]
    images, began = progress["images"], time.perf_counter() - progress["seconds"]
    if start:
        log.info("%s: going on from iteration %d.", title, start)
    period = max(1, task.iterations // ROWS)  # iterations per row
    sums: dict[str, torch.Tensor] = progress.get("sums", {})  # of the row that is being filled
    counts: dict[str, int] = progress.get("counts", {})  # not every iteration logs every scalar

    source = load(keys(method, range(start, task.iterations), taken))
    method.train()
    bar = tqdm(
        range(start, task.iterations),
        initial=start,
        total=task.iterations,
        desc=title,
        unit="it",
        disable=None,
    )
    next_look = time.perf_counter() + (LOG if bar.disable else LOOK)
    for iteration in bar:
        batches = {name: [next(source) for _ in range(n)] for name, n in method.draws(iteration).items()}
        losses = method.step(batches, iteration)
        for name, loss in losses.items():  # summed where they are: reading them would wait for the device
            sums[name] = sums.get(name, 0) + loss.double()
            counts[name] = counts.get(name, 0) + 1
        for name, drawn in batches.items():
            taken[name] += len(drawn)
            images += sum(batch.size for batch in drawn)

        done = iteration + 1
        if done % period == 0 or done == task.iterations:
            history.append(_row(method, sums, counts, done, task))
            sums, counts = {}, {}
        if time.perf_counter() >= next_look:  # reading losses waits for the device: seldom
            next_look = time.perf_counter() + (LOG if bar.disable else LOOK)
            rate = images / (time.perf_counter() - began)
            _show(bar, losses, rate, f"{title}: iteration {done} of {task.iterations}")
        if done % checkpoint_every == 0 and done < task.iterations:
            _require_finite(sums, done, task)
            row = {"sums": sums, "counts": counts}
            seconds = time.perf_counter() - began
            progress = {"iteration": done, "taken": taken, "history": history, **row}
            checkpoint.save(method, progress | {"seconds": seconds, "images": images})
    cost = {"seconds": time.perf_counter() - began, "images": images}
    return pd.DataFrame(history), cost


def _show(bar: tqdm, losses: Mapping[str, torch.Tensor], rate: float, where: str) -> None:
    """The latest losses and the speed: beside the bar, or as a line where there is none."""
    shown = {name: f"{float(loss):.3g}" for name, loss in losses.items()} | {"img/s": f"{rate:.0f}"}
    if bar.disable:
        log.info("%s: %s", where, ", ".join(f"{name} {value}" for name, value in shown.items()))
    else:
        bar.set_postfix(shown, refresh=False)


def keys(method: Method, iterations: range, taken: dict[str, int]) -> list[Key]:
    """Every batch the iterations will take, in order, after `taken` of each stream."""
    upcoming, order = dict(taken), []
    for iteration in iterations:
        for name, count in method.draws(iteration).items():
            order += [(name, upcoming[name] + i) for i in range(count)]
            upcoming[name] += count
    return order


def _row(
    method: Method, sums: dict[str, torch.Tensor], counts: dict[str, int], done: int, task: Task
) -> dict[str, Any]:
    """One line of the history: each scalar's mean over the times it was logged, and the method's trace."""
    totals = _require_finite(sums, done, task)
    first = next(iter(method.optimisers.values()))
    return {
        "iteration": done,
        "epoch": round(done / task.iterations_per_epoch, 4),
        "learning_rate": first.param_groups[0]["lr"],
        **{name: total / counts[name] for name, total in totals.items()},
        **method.trace(),
    }


def _require_finite(sums: dict[str, torch.Tensor], done: int, task: Task) -> dict[str, float]:
    totals = {name: float(total) for name, total in sums.items()}
    for name, total in totals.items():
        if not abs(total) < float("inf"):
            raise UserError(
                f"the loss '{name}' became {total} by iteration {done} of {task.iterations}: lower "
                "recipe.learning_rate_factor or method.learning_rate."
            )
    return totals
