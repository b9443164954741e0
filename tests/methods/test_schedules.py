import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgreid.methods.recipe import RecipeConfig
from dgreid.methods.schedules import rate_share, triangular, warmed_steps


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


@pytest.mark.parametrize(
    ("epoch", "share"),
    [(0, 0.1), (5, 1.0), (63, 0.4936775), (119, 0.0011865), (120, 0.001)],  # warm-up in iterations: 5 epochs
)
def test_cosine_falls_from_the_end_of_the_warm_up_to_its_floor(epoch, share):
    """META's released schedule: 500 iterations from 0.1, then by epoch to 0.001 (facts: T_max 120 - 5)."""
    words = {"decay": "cosine", "floor": 1e-3, "warmup_iterations": 500, "warmup_factor": 0.1}
    meta = recipe(**words, schedule="epoch")
    assert rate_share(meta, epoch * 100, 100) == pytest.approx(share, abs=1e-6)
    assert rate_share(meta, epoch * 100 + 99, 100) == pytest.approx(share, abs=1e-6) or epoch < 5


def test_a_warm_up_in_iterations_moves_at_each_of_them():
    meta = recipe(decay="cosine", warmup_iterations=500, warmup_factor=0.1, schedule="epoch")
    assert rate_share(meta, 499, 1000) == pytest.approx(0.1 + 0.9 * 499 / 500)
    assert rate_share(meta, 500, 1000) == pytest.approx(1.0)


@given(st.integers(0, 5000))
def test_cosine_never_rises_after_the_warm_up_nor_passes_its_floor(iteration):
    falling = recipe(decay="cosine", floor=0.01, warmup_epochs=10)
    later, now = (rate_share(falling, i, 10) for i in (iteration + 1, iteration))
    assert later <= now + 1e-12 or iteration < 100
    assert now >= 0.0099


def test_exponential_decay_multiplies_each_epoch():
    dimn = recipe(decay="exponential", gamma=0.99, warmup_epochs=0, schedule="epoch")
    assert [rate_share(dimn, i, 4) for i in (0, 3, 4, 8)] == pytest.approx([1, 1, 0.99, 0.99**2])
