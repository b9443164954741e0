import hashlib
import math
import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, MultiStepLR

from dgreid import params
from dgreid.methods.recipe import RecipeConfig
from dgreid.methods.schedules import rate_share, triangular, warmed_steps
from helpers import tiny

# SHA-256 of all rates of a recipe, made before warm-up and decay had schedules of their own
FROZEN = {
    "dualnorm": "36f52111be2fa609",
    "dualnorm_resnet50": "93c97e731ce7d6d3",
    "m3l": "212ef5721f27dd83",
    "m3l_paper": "127c0bb1d82ba230",
    "metabin": "aa918309ca95d3d1",
    "metabin_d2m": "c044eba250aa6244",
    "metabin_m2d": "c044eba250aa6244",
    "miniature": "37610e88d1941524",
    "miniature_m3l": "403e7b704f02cce5",
    "open_small": "44aff46824baf781",
    "open_small_m3l": "6d0c5714cf280728",
    "open_small_m3l_16_people": "edbf1fb324c223c3",
    "qaconv": "bdaf0b2e48c68a6f",
    "snr": "931836a82052086a",
}


@pytest.mark.parametrize(
    ("iteration", "rate"),
    [
        (0, 1e-4),
        (1, 1.99e-4),
        (50, 5.05e-3),
        (99, 9.901e-3),
        (100, 0.01),
        (399, 0.01),
        (400, 1e-3),
        (699, 1e-3),
        (700, 1e-4),
    ],
)
def test_learning_rate_of_the_released_schedule(iteration, rate):
    assert 0.01 * warmed_steps(iteration, 10, 10, 0.01, (40, 70)) == pytest.approx(rate, rel=1e-12)


def test_no_warm_up_starts_at_the_full_rate():
    assert warmed_steps(0, 10, 0, 0.01, ()) == 1


def test_cycle_of_the_released_schedule():
    steps = [triangular(k, 0.001, 0.1, 20) for k in (1, 2, 9, 10, 11, 19, 20, 21)]
    assert steps == pytest.approx([0.0109, 0.0208, 0.0901, 0.1, 0.0901, 0.0109, 0.001, 0.0109])


def test_an_odd_period_comes_down_one_step_later():
    period = int(1849 / 0.2)
    assert period == 9245
    assert triangular(1, 0.001, 0.1, period) == pytest.approx(0.001 + 0.099 / 4622)
    assert triangular(4622, 0.001, 0.1, period) == pytest.approx(0.1)
    assert triangular(4623, 0.001, 0.1, period) == pytest.approx(0.1 - 0.099 / 4623)
    assert triangular(9245, 0.001, 0.1, period) == pytest.approx(0.001)


@given(st.integers(0, 10_000), st.integers(1, 500))
def test_cycle_stays_in_its_bounds_and_repeats(step, period):
    value = triangular(step, 0.001, 0.1, period)
    assert 0.001 - 1e-12 <= value <= 0.1 + 1e-12
    assert value == pytest.approx(triangular(step + max(2, period), 0.001, 0.1, period))


def recipe(**changes) -> RecipeConfig:
    return RecipeConfig(name="r", epochs=120, **changes)


@given(st.integers(0, 3000), st.sampled_from(["iteration", "epoch"]))
def test_a_recipe_without_further_words_warms_up_and_steps(iteration, schedule):
    by_epoch = iteration // 25 * 25
    moment = iteration if schedule == "iteration" else by_epoch
    assert rate_share(recipe(schedule=schedule), iteration, 25) == warmed_steps(
        moment, 25, 10, 0.01, (40, 70)
    )


@pytest.mark.parametrize("name", FROZEN)
def test_the_rates_of_a_shipped_recipe_are_what_they_were(name):
    found = RecipeConfig(**tiny.read("recipe", name))
    each = found.iterations_per_epoch or 7
    rates = "".join(f"{rate_share(found, i, each):.12g}\n" for i in range(found.epochs * each))
    assert hashlib.sha256(rates.encode()).hexdigest()[:16] == FROZEN[name]


def test_the_defaults_of_a_recipe_are_those_of_the_base(root):
    base = params.read_yaml(params.PARAMS / "recipe/_base.yaml")
    fields = RecipeConfig.model_fields
    assert set(base) == {name for name, field in fields.items() if not field.is_required()}
    whole = RecipeConfig(name="r", epochs=1, **base)
    assert whole == RecipeConfig(name="r", epochs=1)


class Released:
    """The full rate 1 under the schedulers of a release, which are stepped at the ends it names."""

    def __init__(self, *make: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]):
        self.optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], 1.0)
        self.schedulers = [scheduler(self.optimiser) for scheduler in make]

    def rates(self, epochs: int, each: int, *due: Callable[[int], bool]) -> list[float]:
        """The rate of every iteration; scheduler k steps behind iteration n if due[k](n), the last first."""
        found = []
        with warnings.catch_warnings(action="ignore"):  # torch misses the optimiser's own steps
            for done in range(1, epochs * each + 1):
                found.append(self.optimiser.param_groups[0]["lr"])
                for scheduler, is_due in reversed(list(zip(self.schedulers, due, strict=True))):
                    if is_due(done):
                        scheduler.step()
        return found


def fast_reid(epochs: int, each: int, warmup: int, factor: float, floor: float, last: int) -> list[float]:
    """fast-reid's two schedulers: by iteration up to iteration `last`, then a cosine by epoch."""
    length = epochs - math.ceil(warmup / each)
    return Released(
        lambda optimiser: CosineAnnealingLR(optimiser, length, floor),
        lambda optimiser: LambdaLR(optimiser, lambda n: factor + (1 - factor) * min(1, n / warmup)),
    ).rates(epochs, each, lambda done: done % each == 0 and done >= warmup, lambda done: done <= last)


def by_epoch(epochs: int, **words) -> RecipeConfig:
    return RecipeConfig(name="r", epochs=epochs, schedule="epoch", **words)


def shares(of: RecipeConfig, each: int) -> list[float]:
    return [rate_share(of, iteration, each) for iteration in range(of.epochs * each)]


@pytest.mark.parametrize("each", [1, 7, 30])
def test_acl_warms_up_by_iteration_and_falls_by_epoch(each):
    acl = {
        "epochs": 60,
        "decay": "cosine",
        "floor": 1e-3,
        "warmup_epochs": 10,
        "warmup_schedule": "iteration",
    }
    found = shares(by_epoch(**acl), each)
    assert found == pytest.approx(fast_reid(60, each, 10 * each, 0.01, 1e-3, 10 * each), abs=1e-12)
    assert found[10 * each] == pytest.approx(1e-3 + 0.999 * (1 + math.cos(math.pi / 50)) / 2)
    assert found[-1] == pytest.approx(1e-3)


@pytest.mark.parametrize("each", [500, 1300, 100, 130])
def test_the_cosine_takes_its_first_step_behind_the_epoch_in_which_the_warm_up_ends(each):
    words = {"decay": "cosine", "floor": 1e-3, "warmup_iterations": 500, "warmup_factor": 0.1}
    found = shares(by_epoch(12, **words), each)
    assert found == pytest.approx(fast_reid(12, each, 500, 0.1, 1e-3, 500), abs=1e-12)


def test_meta_stops_its_warm_up_at_998_thousandths_of_the_rate_and_falls_from_there():
    """The last step of the warm-up is left out: the same rates from a rate that is lower by as much."""
    top = 0.1 + 0.9 * 499 / 500
    words = {"decay": "cosine", "floor": 1e-3 / top, "warmup_iterations": 499, "warmup_factor": 0.1 / top}
    meta = by_epoch(120, learning_rate_factor=top, **words)
    found = [meta.learning_rate_factor * share for share in shares(meta, 1250)]
    assert found == pytest.approx(fast_reid(120, 1250, 500, 0.1, 1e-3, 499), abs=1e-12)
    assert found[1249] == pytest.approx(0.9982)
    assert found[1250] == pytest.approx(1e-3 + 0.9972 * (1 + math.cos(math.pi / 119)) / 2)


@pytest.mark.parametrize(
    ("words", "scheduler"),
    [  # torchreid's OSNet-AIN, its OSNet and CrossGrad's, DualNorm's ResNet-50, QAConv, DDAN, DIMN
        ({"epochs": 100, "decay": "cosine"}, lambda o: CosineAnnealingLR(o, 100)),
        ({"epochs": 150, "milestones": [60]}, lambda o: MultiStepLR(o, [60])),
        ({"epochs": 150, "milestones": [40, 80, 120]}, lambda o: MultiStepLR(o, [40, 80, 120])),
        ({"epochs": 60, "milestones": [40]}, lambda o: MultiStepLR(o, [40])),
        ({"epochs": 100, "milestones": [40, 80]}, lambda o: MultiStepLR(o, [40, 80])),
        ({"epochs": 60, "decay": "exponential"}, lambda o: ExponentialLR(o, 0.99)),
    ],
)
def test_a_release_without_warm_up_steps_torchs_scheduler_by_epoch(words, scheduler):
    found = shares(by_epoch(warmup_epochs=0, **words), 3)
    assert found == pytest.approx(
        Released(scheduler).rates(words["epochs"], 3, lambda n: n % 3 == 0), abs=1e-12
    )


@pytest.mark.parametrize("milestones", [[30, 50], [30, 60, 100]])
def test_m3l_bau_and_renorm_do_all_by_epoch(milestones):
    def share(epoch: int) -> float:
        return (0.01 + 0.99 * min(1, epoch / 10)) * 0.1 ** sum(epoch >= each for each in milestones)

    found = shares(by_epoch(120, milestones=milestones), 4)
    assert found == pytest.approx(
        Released(lambda o: LambdaLR(o, share)).rates(120, 4, lambda n: n % 4 == 0), abs=1e-12
    )


def test_a_cosine_by_iteration_is_torchs():
    sagnet = RecipeConfig(name="r", epochs=20, decay="cosine", schedule="iteration", warmup_epochs=0)
    assert shares(sagnet, 10) == pytest.approx(
        Released(lambda o: CosineAnnealingLR(o, 200)).rates(20, 10, lambda _: True), abs=1e-12
    )


def test_a_warm_up_as_long_as_the_training_is_all_there_is():
    assert shares(recipe(decay="cosine", warmup_epochs=120), 2) == shares(
        recipe(milestones=[], warmup_epochs=120), 2
    )


def test_a_warm_up_in_iterations_moves_at_each_of_them():
    meta = recipe(decay="cosine", warmup_iterations=500, warmup_factor=0.1, schedule="epoch")
    assert rate_share(meta, 499, 1000) == pytest.approx(0.1 + 0.9 * 499 / 500)
    assert rate_share(meta, 500, 1000) == pytest.approx(1.0)


@given(st.integers(0, 5000))
def test_cosine_never_rises_after_the_warm_up_nor_passes_its_floor(iteration):
    falling = recipe(decay="cosine", floor=0.01, warmup_epochs=10, schedule="iteration")
    later, now = (rate_share(falling, i, 10) for i in (iteration + 1, iteration))
    assert later <= now + 1e-12 or iteration < 100
    assert now >= 0.0099


def test_exponential_decay_multiplies_each_epoch():
    dimn = recipe(decay="exponential", gamma=0.99, warmup_epochs=0, schedule="epoch")
    assert [rate_share(dimn, i, 4) for i in (0, 3, 4, 8)] == pytest.approx([1, 1, 0.99, 0.99**2])
