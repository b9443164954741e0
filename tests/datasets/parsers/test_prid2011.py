import pytest

from dgreid.datasets.parsers import prid2011


def test_prid_same_number_means_another_person_above_the_shared_ones(layouts):
    parsed = prid2011.parse(layouts("prid2011"), {"shared": 6})
    people = {image.path: image.person for image in parsed.images}
    assert people["cam_a/person_0006.png"] == people["cam_b/person_0006.png"] == "0006"
    assert people["cam_a/person_0007.png"] == "a:0007"
    assert people["cam_b/person_0007.png"] == "b:0007"
    assert len(set(people.values())) == 6 + 3 + 6


def test_prid_gallery_holds_the_strangers_of_camera_b(layouts, roles):
    parsed = prid2011.parse(layouts("prid2011"), {"shared": 6})
    train, query, gallery = roles(parsed, "prid/rand10", 0)
    assert (len(train), len(query), len(gallery)) == (6, 3, 3 + 6)
    assert gallery[3:] == [f"cam_b/person_{number:04d}.png" for number in range(7, 13)]
    assert all(path.startswith("cam_a") for path in query)


def test_prid_shares_200_unless_told_otherwise(draw, tmp_path):
    numbers = [1, 2, 3, 4, 5, 200, 201]
    draw(tmp_path, [f"cam_{c}/person_{n:04d}.png" for c in "ab" for n in numbers])
    people = {image.person for image in prid2011.parse(tmp_path, {}).images}
    assert people == {"0001", "0002", "0003", "0004", "0005", "0200", "a:0201", "b:0201"}


@pytest.mark.parametrize("nesting", ["", "single_shot", "a/b/c/d/prid_2011/single_shot"])
def test_prid_is_found_at_any_nesting(tmp_path, nesting):
    root = tmp_path / nesting
    for camera in ("cam_a", "cam_b"):
        (root / camera).mkdir(parents=True)
    assert prid2011.LAYOUT.find(tmp_path) == root
