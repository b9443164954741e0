import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgreid.methods.schedules import triangular, warmed_steps


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
