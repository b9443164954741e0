import pytest
import torch

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Method, Task
from dgreid.training.progress import Progress


class Quiet(Method):
    """Trains nothing; its rate is 0.5 and its trace one number."""

    def __init__(self):
        super().__init__(None, None, None)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.optimisers = {"main": torch.optim.SGD([self.weight], lr=0.5)}
        self.samplers = {"a": Sampler("pk"), "b": Sampler("pk")}

    def trace(self):
        return {"gate": 0.25}


def source():
    number = 0
    while True:
        yield Batch(torch.full((3,), number), torch.zeros(3), torch.zeros(3))
        number += 1


def logged(progress, *losses):
    for each in losses:
        progress.log({name: torch.tensor(value) for name, value in each.items()})


def test_batches_are_taken_in_turn_and_counted():
    progress = Progress(["a", "b"])
    batches = progress.take(source(), {"a": 2, "b": 1})
    taken = {name: [int(batch.images[0]) for batch in some] for name, some in batches.items()}
    assert taken == {"a": [0, 1], "b": [2]}
    assert progress.taken == {"a": 2, "b": 1} and progress.images == 9


def test_a_row_is_the_mean_over_the_times_that_a_scalar_was_logged():
    progress, task = Progress([]), Task(2, 2, 100, 8)
    logged(progress, {"loss": 1.0, "seldom": 5.0}, {"loss": 2.0}, {"loss": 6.0})
    progress.add_row(Quiet(), task)
    assert progress.history == [
        {"iteration": 3, "epoch": 0.375, "learning_rate": 0.5, "loss": 3.0, "seldom": 5.0, "gate": 0.25}
    ]
    logged(progress, {"loss": 4.0})
    progress.add_row(Quiet(), task)
    assert progress.history[1]["loss"] == 4.0 and "seldom" not in progress.history[1]  # begins afresh


def test_sums_of_many_small_losses_are_exact():
    progress = Progress([])
    for _ in range(3):
        progress.log({"loss": torch.tensor(2.0**24, dtype=torch.float32)})
        progress.log({"loss": torch.tensor(1.0, dtype=torch.float32)})  # float32 would lose it
    assert progress.totals(Task(2, 2, 100, 10)) == {"loss": 3 * 2.0**24 + 3}


@pytest.mark.parametrize(("iterations", "ends"), [(1003, 101), (250, 125), (40, 40), (1, 1)])
def test_the_history_has_about_a_hundred_rows_and_one_at_the_end(iterations, ends):
    progress, task, found = Progress([]), Task(2, 2, iterations, 10), []
    for _ in range(iterations):
        logged(progress, {})
        if progress.ends_row(task):
            found.append(progress.iteration)
    assert len(found) == ends and found[-1] == iterations


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_scalar_that_is_not_finite_is_one_sentence(bad):
    progress = Progress([])
    logged(progress, {"loss": 1.0, "triplet": bad})
    with pytest.raises(UserError, match=r"the loss 'triplet' became .* by iteration 1 of 9: lower recipe"):
        progress.add_row(Quiet(), Task(2, 2, 9, 3))
    assert progress.history == []


def test_a_resumed_training_ends_with_the_same_numbers(tmp_path):
    def go_on(progress, iterations):
        batches = source()
        for _ in range(iterations):
            progress.take(batches, {"a": 1})
            logged(progress, {"loss": float(progress.iteration)})
            if progress.ends_row(Task(2, 2, 400, 10)):
                progress.add_row(Quiet(), Task(2, 2, 400, 10))
        return progress

    whole = go_on(Progress(["a"]), 10)
    torch.save(go_on(Progress(["a"]), 6).state(), tmp_path / "state.pt")  # in the middle of a row
    resumed = go_on(Progress(["a"], torch.load(tmp_path / "state.pt", weights_only=True)), 4)
    left, right = whole.state(), resumed.state()
    assert right.pop("seconds") > 0 and left.pop("seconds") > 0
    assert left == right


def test_the_seconds_of_an_interrupted_attempt_count():
    assert Progress([], {"seconds": 100.0}).seconds >= 100
