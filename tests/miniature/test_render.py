from dataclasses import replace

import numpy as np
import pytest

from dgreid.miniature.render import Shot, World

SHOT = Shot(3, 1, 2)


@pytest.fixture(scope="module")
def world():
    return World("here", seed=5)


def test_names_alone_decide_the_bytes(world):
    first = world.draw(SHOT).pixels
    for person in range(4):  # other work in between
        world.draw(Shot(person, person % 2))
    assert first.shape == (128, 64, 3) and first.dtype == np.uint8
    assert (world.draw(SHOT).pixels == first).all()
    assert (World("here", seed=5).draw(SHOT).pixels == first).all()


@pytest.mark.parametrize(
    "other", [Shot(4, 1, 2), Shot(3, 0, 2), Shot(3, 1, 1)], ids=["person", "camera", "number"]
)
def test_every_part_of_the_name_matters(world, other):
    assert (world.draw(SHOT).pixels != world.draw(other).pixels).mean() > 0.5


def test_nobody_lives_in_two_domains():
    def people(domain):
        return {tuple(World(domain).person(n).top_colours.ravel().tolist()) for n in range(100)}

    here, there = people("here"), people("there")
    assert len(here) == len(there) == 100
    assert not here & there


def test_a_person_is_the_same_before_every_camera_and_a_gait_is_not(world):
    assert world.person(3) is world.person(3)
    assert len({world.pose(Shot(3, c, n)).phase for c in range(3) for n in range(3)}) == 9


def test_the_mask_is_where_the_person_is(world):
    for number in range(20):
        shot = Shot(number, number % 4)
        drawn, alone = world.draw(shot), world.paint(shot, person=False)
        painted, mask = world.paint(shot)
        assert 0.08 < drawn.mask.mean() < 0.6
        assert alone[1].max() == 0
        assert np.abs(painted - alone[0])[mask > 0.5].mean() > 0.05
        unchanged = (mask == 0) & (np.arange(128) < 90)[:, None]  # above the shadow
        assert (painted[unchanged] == alone[0][unchanged]).mean() > 0.99


def test_an_empty_box_shows_nobody(world):
    assert world.draw(Shot("distractor", 0, 0, "empty")).mask.max() == 0


def swap(world, **factors):
    return World(world.domain, world.seed, style=replace(world.style, **factors))


def test_light_and_optics_leave_the_painting_alone(world):
    other = swap(world, red=0.3, exposure=0.2, haze=0.2, blur=1.2, lines=50.0, noise=0.02, quality=30)
    for before, after in zip(world.paint(SHOT), other.paint(SHOT), strict=True):
        assert (before == after).all()
    assert (world.draw(SHOT).pixels != other.draw(SHOT).pixels).any()


def test_optics_leave_the_light_alone(world):
    image, _ = world.paint(SHOT)
    other = swap(world, blur=1.2, lines=50.0, noise=0.02)
    assert (world.expose(image, SHOT) == other.expose(image, SHOT)).all()


def test_another_background_leaves_the_person_alone(world):
    other = swap(world, family="mall" if world.style.family != "mall" else "street")
    other.scene_seed = (5, "elsewhere")
    (image, mask), (changed, same) = world.paint(SHOT), other.paint(SHOT)
    assert (mask == same).all()
    inside = mask == 1
    assert (image[inside] == changed[inside]).all()
    assert (image[mask == 0] != changed[mask == 0]).mean() > 0.5


def test_other_clothes_leave_the_pose_and_place_alone(world):
    other = swap(world, season=1 - world.style.season, colourfulness=0.5)
    assert world.pose(SHOT) == other.pose(SHOT)
    assert (world.paint(SHOT, person=False)[0] == other.paint(SHOT, person=False)[0]).all()


def test_the_place_does_not_follow_the_person(world):
    """Two shots of a person differ as much in their background as two people's shots do."""

    def place(person, number):
        return world.paint(Shot(person, 0, number), person=False)[0].mean((0, 1))

    same = [np.abs(place(p, 0) - place(p, 1)).sum() for p in range(25)]
    other = [np.abs(place(p, 0) - place(p + 1, 1)).sum() for p in range(25)]
    assert np.mean(same) > 0.5 * np.mean(other) > 0
