import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgreid.datasets import layout_of, parser_names
from dgreid.datasets.layout import SplitSet
from dgreid.datasets.records import Image
from dgreid.datasets.splits import (
    across_cameras,
    draw_pairs,
    fingerprint,
    generator,
    permutations,
    random_halves,
)
from dgreid.errors import UserError


@given(st.sets(st.text(max_size=4), min_size=6, max_size=60), st.integers(0, 3), st.randoms())
def test_halves_partition_the_identities_whatever_their_order(people, seed, random):
    shuffled = sorted(people)
    random.shuffle(shuffled)
    halves = random_halves(shuffled, count=3, seed=seed)
    assert halves == random_halves(sorted(people), count=3, seed=seed)
    for train, test in halves:
        assert len(train) == len(people) // 2
        assert set(train) | set(test) == people
        assert not set(train) & set(test)


@pytest.mark.parametrize("number", [632, 200, 119])
def test_ten_distinct_splits_of_the_published_sizes(number):
    halves = random_halves([f"{i:04d}" for i in range(number)])
    assert len({fingerprint([test]) for _, test in halves}) == 10
    assert {len(test) for _, test in halves} == {number - number // 2}


def test_a_numpy_that_draws_otherwise_is_noticed():
    frozen = (119, fingerprint(permutations(119)))
    images = [Image(f"{camera}/{i}", f"{i}", f"{i}", camera=camera) for i in range(119) for camera in (0, 1)]
    assert len(across_cameras(images, SplitSet("x/rand10", 10, halves=frozen))) == 30
    with pytest.raises(UserError, match="frozen"):
        across_cameras(images, SplitSet("x/rand10", 10, halves=(119, "0" * 64)))
    across_cameras(images, SplitSet("x/rand10", 10, halves=(118, "0" * 64)))  # frozen for another number


@pytest.mark.parametrize("name", parser_names())
def test_the_declared_permutations_are_those_that_numpy_draws(name):
    for split_set in layout_of(name).split_sets:
        if split_set.halves:
            number, digest = split_set.halves
            assert fingerprint(permutations(number, split_set.count)) == digest


def test_frozen_draws_are_those_of_the_first_release():
    first = random_halves([f"{i:03d}" for i in range(632)])[0][0]
    assert first[:5] == ["000", "002", "005", "012", "015"]


def test_few_identities_still_give_ten_different_splits():
    assert len({tuple(test) for _, test in random_halves("abcdef")}) == 10


def test_too_few_identities():
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
