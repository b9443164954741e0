import numpy as np
import pytest

from dgreid.miniature.identity import draw_identity
from dgreid.miniature.seeds import generator


def crowd(season=0.5, colourfulness=1.0, size=300):
    return [draw_identity(generator("crowd", n), season, colourfulness) for n in range(size)]


def test_season_dresses_people():
    def bare(people):
        return np.mean([person.top in ("tee", "tank") for person in people])

    assert bare(crowd(season=1.0)) > 0.5 > 0.2 > bare(crowd(season=0.0))


def test_colourfulness_saturates_cloth():
    def saturation(people):
        return np.mean([np.ptp(person.top_colours[0]) for person in people])

    assert saturation(crowd(colourfulness=1.4)) > 1.3 * saturation(crowd(colourfulness=0.6))


def test_hair_can_be_told_from_skin():
    assert min(np.abs(person.hair - person.skin).sum() for person in crowd()) >= 0.5


@pytest.mark.parametrize(
    "field", ["skin", "hair", "top_colours", "bottom_colours", "shoe_colour", "bag_colour"]
)
def test_colours_are_colours(field):
    for person in crowd(size=100):
        colour = getattr(person, field)
        assert colour.dtype == np.float32
        assert (colour >= 0).all() and (colour <= 1).all()
