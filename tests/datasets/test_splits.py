import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgreid.datasets.splits import FROZEN, draw_pairs, fingerprint, generator, random_halves
from dgreid.errors import UserError


@given(st.sets(st.text(max_size=4), min_size=6, max_size=60), st.integers(0, 3), st.randoms())
def test_halves_partition_the_people_whatever_their_order(people, seed, random):
    shuffled = sorted(people)
    random.shuffle(shuffled)
    halves = random_halves(shuffled, count=3, seed=seed)
    assert halves == random_halves(sorted(people), count=3, seed=seed)
    for train, test in halves:
        assert len(train) == len(people) // 2
        assert set(train) | set(test) == people
        assert not set(train) & set(test)


def test_ten_distinct_splits_of_the_published_sizes():
    for number in (632, 200, 119):
        halves = random_halves([f"{i:04d}" for i in range(number)])
        assert len({fingerprint([test]) for _, test in halves}) == 10
        assert {len(test) for _, test in halves} == {number - number // 2}


def test_a_numpy_that_draws_otherwise_is_noticed(monkeypatch):
    monkeypatch.setitem(FROZEN, "halves/119", "0" * 64)
    with pytest.raises(UserError, match="frozen"):
        random_halves([f"{i:04d}" for i in range(119)])


def test_frozen_draws_are_those_of_the_first_release():
    first = random_halves([f"{i:03d}" for i in range(632)])[0][0]
    assert first[:5] == ["000", "002", "005", "012", "015"]


def test_few_people_still_give_ten_different_splits():
    assert len({tuple(test) for _, test in random_halves("abcdef")}) == 10


def test_too_few_people():
    with pytest.raises(UserError, match="too few"):
        random_halves(["1", "2", "3", "4", "5"])


def test_pairs_are_two_different_images_of_the_right_person():
    images = {"1": ["1a", "1b"], "2": ["2a", "2b", "2c"], "3": ["3b", "3a"]}
    pairs = draw_pairs(images, [["1", "2"], ["2", "3"]] * 5)
    for (query, gallery), people in zip(pairs, [["1", "2"], ["2", "3"]] * 5, strict=True):
        assert [name[0] for name in query] == [name[0] for name in gallery] == people
        assert not set(query) & set(gallery)
    assert len({tuple(query) for query, _ in pairs}) > 2


def test_generator_names_seed_and_count():
    assert "PCG64(4)" in generator(3, 4)
    assert "3 permutations" in generator(3, 4)
