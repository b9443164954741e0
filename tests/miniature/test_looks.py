from collections import Counter

import numpy as np
import pytest

from dgreid.miniature.looks import COLOURS, PATTERNS, draw_classes, draw_look
from dgreid.miniature.things import KINDS


@pytest.fixture(scope="module")
def classes():
    return draw_classes(tuple(KINDS), 16, 0)


def test_every_kind_has_its_looks_and_no_class_comes_twice(classes):
    assert Counter(named.kind for named in classes) == dict.fromkeys(KINDS, 16)
    assert len({named.title for named in classes}) == len(classes)


def test_no_class_is_a_person(classes):
    words = {word for named in classes for word in named.kind.split()}
    assert not words & {"person", "people", "man", "woman", "child", "face", "figure", "passer", "pedestrian"}


def test_only_kind_pattern_and_colours_together_name_a_class(classes):
    for left_out in ("kind", "pattern", "second"):
        rest = [tuple(value for name, value in vars(named).items() if name != left_out) for named in classes]
        assert max(Counter(rest).values()) > 1, left_out
    for values, known in (("pattern", PATTERNS), ("main", COLOURS), ("second", COLOURS)):
        used = Counter(getattr(named, values) for named in classes)
        assert set(used) == set(known)
        assert max(used.values()) < len(classes) / 3


def test_fewer_looks_are_the_first_of_more(classes):
    assert set(draw_classes(tuple(KINDS), 2, 0)) <= set(classes)


def test_specimens_of_a_class_differ_less_than_classes(classes):
    def main(name, number):
        named = next(each for each in classes if each.main == name)
        return draw_look(np.random.default_rng(number), named).main

    red = [main("red", number) for number in range(20)]
    blue = [main("blue", number) for number in range(20)]
    within = max(np.abs(a - b).sum() for a in red for b in red)
    assert 0 < within < min(np.abs(a - b).sum() for a in red for b in blue)
