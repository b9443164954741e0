import pytest
import torch

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Method, Task
from dgreid.training import loop
from dgreid.training.checkpoint import Checkpoint
from dgreid.training.loop import fit, keys


class Counting(Method):
    """Logs the iteration as its loss; takes two batches of `a` and, every other iteration, one of `b`."""

    def __init__(self, bad: int = -1):
        super().__init__(None, None, None)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.optimisers = {"main": torch.optim.SGD([self.weight], lr=0.5)}
        self.samplers = {"a": Sampler("pk"), "b": Sampler("pk_per_domain")}
        self.seen, self.bad = [], bad

    def draws(self, iteration):
        return {"a": 2, "b": iteration % 2}

    def step(self, batches, iteration):
        self.seen.append({name: [int(batch.images) for batch in drawn] for name, drawn in batches.items()})
        return {"loss": torch.tensor(float("nan") if iteration == self.bad else float(iteration))}


def numbers(order):
    """Batches that hold their own number."""
    for _, number in order:
        yield Batch(torch.full((1,), number), torch.zeros(1), torch.zeros(1))


def test_streams_advance_by_what_was_drawn():
    order = keys(Counting(), range(0, 3), {"a": 0, "b": 0})
    assert order == [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 0), ("a", 4), ("a", 5)]
    assert keys(Counting(), range(1, 2), {"a": 2, "b": 0}) == order[2:5]


def test_a_method_gets_the_batches_it_declared(tmp_path):
    method = Counting()
    fit(method, numbers, Task(2, 2, 3, 1), Checkpoint(tmp_path / "c.pt", ""), 100)
    assert method.seen == [{"a": [0, 1], "b": []}, {"a": [2, 3], "b": [0]}, {"a": [4, 5], "b": []}]


def test_history_rows_are_means_of_all_iterations(tmp_path):
    history, cost = fit(Counting(), numbers, Task(2, 2, 1003, 10), Checkpoint(tmp_path / "c.pt", ""), 333)
    assert list(history["iteration"]) == [*range(10, 1001, 10), 1003]
    assert history["loss"].iloc[0] == 4.5  # mean of 0..9
    assert history["loss"].iloc[-1] == 1001  # mean of 1000..1002
    assert history["epoch"].iloc[-1] == 100.3 and (history["learning_rate"] == 0.5).all()
    assert cost["images"] == 2 * 1003 + 501 and cost["seconds"] > 0


class Seldom(Counting):
    """Logs a second scalar every seventh iteration; has the gates of two BIN layers."""

    def __init__(self):
        super().__init__()
        self.stem, self.deep = torch.nn.Module(), torch.nn.Module()
        self.stem.balance = torch.nn.Parameter(torch.tensor([0.0, 1.0]))
        self.deep.balance = torch.nn.Parameter(torch.tensor([0.5, 0.5, 0.8]))

    def step(self, batches, iteration):
        seldom = {"seldom": torch.tensor(float(iteration))} if iteration % 7 == 0 else {}
        return super().step(batches, iteration) | seldom


def test_a_scalar_that_is_seldom_logged_is_the_mean_of_the_times_it_was(tmp_path):
    history, _ = fit(Seldom(), numbers, Task(2, 2, 500, 10), Checkpoint(tmp_path / "c.pt", ""), 333)
    assert history["loss"].iloc[0] == 2 and history["loss"].iloc[1] == 7  # rows of five iterations
    assert list(history["seldom"].iloc[:3]) == [0, 7, 14]
    assert history["seldom"].isna().iloc[3]  # iterations 15..19


def test_history_has_mean_and_spread_of_every_layers_balance(tmp_path):
    history, _ = fit(Seldom(), numbers, Task(2, 2, 2, 1), Checkpoint(tmp_path / "c.pt", ""), 333)
    row = history.iloc[0]
    assert (row["balance_mean_1"], row["balance_std_1"]) == (0.5, 0.5)
    assert row["balance_mean_2"] == pytest.approx(0.6) and row["balance_std_2"] == pytest.approx(0.02**0.5)


@pytest.mark.parametrize("bad", [0, 5, 9])
def test_a_loss_that_is_not_a_number_is_never_checkpointed(tmp_path, bad):
    checkpoint = Checkpoint(tmp_path / "c.pt", "")
    with pytest.raises(UserError, match="'loss' became nan by iteration"):
        fit(Counting(bad), numbers, Task(2, 2, 1000, 1), checkpoint, 7)
    if checkpoint.path.exists():
        assert torch.load(checkpoint.path, weights_only=True)["progress"]["iteration"] <= bad


def test_without_a_terminal_a_line_now_and_then_tells_the_losses(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_LINES", 0)
    caplog.set_level("INFO")
    fit(Counting(), numbers, Task(2, 2, 3, 1), Checkpoint(tmp_path / "c.pt", ""), 100, title="mine")
    assert [line.split(", img/s")[0] for line in caplog.messages] == [
        f"mine: iteration {done} of 3: loss {done - 1}" for done in (1, 2, 3)
    ]


class Surveying(Counting):
    """Remembers in a buffer how many images it was shown before it began."""

    def __init__(self, bad: int = -1):
        super().__init__(bad)
        self.register_buffer("shown", torch.zeros(()))

    def start(self, survey):
        self.shown += sum(len(batch.images) for batch in survey())


def test_a_method_looks_at_the_training_set_when_it_starts_and_not_when_it_goes_on(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.pt", "")
    arguments = numbers, Task(2, 2, 6, 1), checkpoint, 2

    def survey():
        yield from numbers([("all", 0), ("all", 1), ("all", 2)])

    with pytest.raises(UserError):
        fit(Surveying(bad=5), *arguments, survey=survey)
    again = Surveying()
    fit(again, *arguments, survey=survey)
    assert again.shown == 3 and len(again.seen) == 2  # iterations 4 and 5
