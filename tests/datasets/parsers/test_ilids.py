import pytest

from dgreid.datasets import parse, tally
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.parsers import ilids
from dgreid.errors import UserError


@pytest.fixture
def whole_ilids(draw, tmp_path):
    """whole_ilids(people): two images each, 59 more; expects 119 people, 238 images."""

    def make(people, **options):
        draw(
            tmp_path,
            [f"Persons/{person:04d}{index:03d}.jpg" for person in people for index in (1, 2)],
            (2, 2),
        )
        node = {"expect": {"ids": 119, "images": 238}, "options": options}
        settings = DatasetConfig(name="ilids", title="i-LIDS", parser="ilids", access="open", **node)
        return settings, parse(settings, ilids.LAYOUT.find(tmp_path))

    return make


@pytest.mark.parametrize("options", [{}, {"allow_partial": True}])
def test_ilids_with_a_120th_person_names_him(whole_ilids, options):
    settings, parsed = whole_ilids(range(1, 121), **options)
    with pytest.raises(
        UserError, match=r"has no identity 0120 \(2 of the images, first Persons/0120001\.jpg\); move these"
    ):
        tally.published_identities(settings, parsed, "here")
    with pytest.raises(
        UserError, match="ids 120 instead of 119, images 240 instead of 238; something was added"
    ):
        tally.data_kind(settings, parsed, "here")  # more than the whole is not partial


def test_ilids_whole_and_partial(whole_ilids):
    settings, parsed = whole_ilids(range(1, 120))
    tally.published_identities(settings, parsed, "here")
    assert tally.data_kind(settings, parsed, "here") == "full"


def test_ilids_with_fewer_identities_may_be_partial(whole_ilids):
    settings, parsed = whole_ilids(range(1, 100), allow_partial=True)
    tally.published_identities(settings, parsed, "here")
    assert tally.data_kind(settings, parsed, "here") == "partial"


def test_ilids_takes_the_folder_whose_images_are_named_right(layouts, draw):
    folder = draw(layouts("ilids"), ["images/holiday.jpg"])
    (folder / "Persons").rename(folder / "Images2")
    (folder / "images").rename(folder / "Persons")
    (folder / "Images2").rename(folder / "images")
    assert {image.path.split("/")[0] for image in ilids.parse(ilids.LAYOUT.find(folder), {}).images} == {
        "images"
    }


def test_ilids_query_and_gallery_are_two_images_of_each_test_person(layouts, roles):
    parsed = ilids.parse(layouts("ilids"), {})
    assert all(image.camera is None for image in parsed.images)
    for number in range(10):
        train, query, gallery = roles(parsed, "ilids/rand10", number)
        assert len(query) == len(gallery) == 4  # 7 people: 3 train
        assert [path[8:12] for path in query] == [path[8:12] for path in gallery]
        assert not set(query) & set(gallery)
        assert not {path[8:12] for path in train} & {path[8:12] for path in query}
