"""How far a training has come: what a checkpoint holds beside weights, optimisers and random states."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.methods.base import Method, Task

ROWS = 100  # approximate number of rows in history.csv


class Progress:
    """Counts the batches, images and seconds of a training, and collects its losses into a history.

    Attributes:
        iteration: completed iterations.
        taken: batches taken from each stream.
        history: finished rows of history.csv.
        sums: sum of each logged scalar in the current row, on the device that computes it.
        counts: times each of them was logged; not every iteration logs every scalar.
        images: images that the network was given.
    """

    def __init__(self, streams: Iterable[str], state: Mapping[str, Any] | None = None):
        """Begin at iteration 0 with these streams, or resume from the `state()` of an earlier attempt."""
        state = state or {}
        self.iteration: int = state.get("iteration", 0)
        self.taken: dict[str, int] = state.get("taken", dict.fromkeys(streams, 0))
        self.history: list[dict[str, Any]] = state.get("history", [])
        self.sums: dict[str, torch.Tensor] = state.get("sums", {})
        self.counts: dict[str, int] = state.get("counts", {})
        self.images: int = state.get("images", 0)
        self._began = time.perf_counter() - state.get("seconds", 0.0)

    @property
    def seconds(self) -> float:
        """Training time, including that of earlier, interrupted attempts."""
        return time.perf_counter() - self._began

    def take(self, source: Iterator[Batch], draws: Mapping[str, int]) -> dict[str, list[Batch]]:
        """Take the next batches of an iteration from `source`: `draws[stream]` of each stream."""
        batches = {name: [next(source) for _ in range(count)] for name, count in draws.items()}
        for name, some in batches.items():
            self.taken[name] += len(some)
            self.images += sum(batch.size for batch in some)
        return batches

    def log(self, losses: Mapping[str, torch.Tensor]) -> None:
        """Complete an iteration: add its scalars to the current row.

        They are summed on their device, because reading them would wait for it.
        """
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0) + loss.double()
            self.counts[name] = self.counts.get(name, 0) + 1
        self.iteration += 1

    def ends_row(self, task: Task) -> bool:
        """Whether a row of the history ends here: one per `task.iterations` / 100, and one at the end."""
        return self.iteration % max(1, task.iterations // ROWS) == 0 or self.iteration == task.iterations

    def add_row(self, method: Method, task: Task) -> None:
        """Finish a row: each scalar's mean over the times it was logged, and the method's trace.

        Raises:
            UserError: a scalar is not finite.
        """
        totals = self.totals(task)
        first = next(iter(method.optimisers.values()))
        row = {
            "iteration": self.iteration,
            "epoch": round(self.iteration / task.iterations_per_epoch, 4),
            "learning_rate": first.param_groups[0]["lr"],
            **{name: total / self.counts[name] for name, total in totals.items()},
            **method.trace(),
        }
        self.history.append(row)
        self.sums, self.counts = {}, {}

    def totals(self, task: Task) -> dict[str, float]:
        """Return the sums of the current row.

        Raises:
            UserError: one of them is not finite.
        """
        totals = {name: float(total) for name, total in self.sums.items()}
        for name, total in totals.items():
            if not abs(total) < float("inf"):
                raise UserError(
                    f"the loss '{name}' became {total} by iteration {self.iteration} of {task.iterations}: "
                    "lower recipe.learning_rate_factor or method.learning_rate."
                )
        return totals

    def state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs to resume."""
        return {
            "iteration": self.iteration,
            "taken": self.taken,
            "history": self.history,
            "sums": self.sums,
            "counts": self.counts,
            "seconds": self.seconds,
            "images": self.images,
        }
