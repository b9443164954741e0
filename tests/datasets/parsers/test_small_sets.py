"""VIPeR, PRID2011, GRID, i-LIDS: the four that are searched in the literature."""

import numpy as np
import pytest
from scipy.io import savemat

from dgreid.datasets import rules
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.parsers import grid, ilids, prid2011, viper
from dgreid.errors import UserError


def roles(parsed, split_set, number):
    return [parsed.splits[split_set, number, role] for role in ("train", "query", "gallery")]


def person(path):
    return path.split("/")[1][:3]


def test_viper_splits_are_half_and_half_from_a_to_b(layouts):
    parsed = viper.parse(layouts("viper"), {})
    assert {image.person for image in parsed.images} == {"000", "003", "004", "500", "501", "873"}
    assert parsed.images[0].attrs == {"angle": "45"}
    assert len(parsed.splits) == 30
    for number in range(10):
        train, query, gallery = roles(parsed, "viper/rand10_a2b", number)
        assert (len(train), len(query), len(gallery)) == (6, 3, 3)
        assert all(path.startswith("cam_a") for path in query)
        assert all(path.startswith("cam_b") for path in gallery)
        assert [person(path) for path in query] == [person(path) for path in gallery]
        assert not {person(path) for path in train} & {person(path) for path in query}
    assert "PCG64(0)" in parsed.generators["viper/rand10_a2b"]


def test_viper_without_images_of_a_camera_is_partial(layouts):
    folder = layouts("viper")
    for file in (folder / "cam_a").iterdir():
        file.unlink()
    parsed = viper.parse(folder, {})
    assert (parsed.missing, parsed.splits) == (("cam_a",), {})


@pytest.fixture
def metabin_viper(draw, tmp_path):
    """VIPeR as MetaBIN's authors divide it: ten folders, each with all images of six people."""
    people = (0, 3, 4, 500, 501, 873)
    for split in range(10):
        half = people[split % 6 :: 2] if split < 6 else people[split - 6 : split - 3]
        for who in people:
            for camera, role in ((1, "query"), (2, "gallery")):
                place = "train" if who in half else role
                draw(
                    tmp_path,
                    [f"viper/split_{split + 1}a/{place}/p{who:03d}_c{camera}_d{45 * camera:03d}.png"],
                )
    return tmp_path


def test_viper_as_metabins_authors_divide_it(metabin_viper):
    root = viper.LAYOUT.find(metabin_viper)
    parsed = viper.parse(root, {})
    assert (root.name, len(parsed.images)) == ("viper", 12)
    image = next(image for image in parsed.images if image.path.endswith("p003_c1_d045.png"))
    assert (image.person, image.camera, image.attrs) == ("003", 0, {"angle": "45"})
    images = {image.path: image for image in parsed.images}
    for number in range(10):
        given = sorted((root / f"split_{number + 1}a/query").iterdir())
        train, query, gallery = roles(parsed, "viper/metabin10_a2b", number)
        assert [images[path].path.split("/")[-1] for path in query] == [file.name for file in given]
        assert {images[path].camera for path in query} == {0}
        assert {images[path].camera for path in gallery} == {1}
        assert len(train) + len(query) + len(gallery) == 12
        assert len(roles(parsed, "viper/rand10_a2b", number)[1]) == 3  # ours are drawn too
    assert "MetaBIN" in parsed.generators["viper/metabin10_a2b"]


def test_viper_of_metabin_must_have_the_same_images_in_every_split(metabin_viper):
    root = metabin_viper / "viper"
    file = next((root / "split_3a/query").iterdir())
    file.rename(file.with_name("p777_c1_d000.png"))
    with pytest.raises(UserError, match="split_3a has other images than split_1a"):
        viper.parse(root, {})
    for file in (root / "split_3a/query").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="split_3a of MetaBIN's copy of VIPeR is not whole"):
        viper.parse(root, {})


def test_prid_same_number_means_another_person_above_the_shared_ones(layouts):
    parsed = prid2011.parse(layouts("prid2011"), {"shared": 6})
    people = {image.path: image.person for image in parsed.images}
    assert people["cam_a/person_0006.png"] == people["cam_b/person_0006.png"] == "0006"
    assert people["cam_a/person_0007.png"] == "a:0007"
    assert people["cam_b/person_0007.png"] == "b:0007"
    assert len(set(people.values())) == 6 + 3 + 6


def test_prid_gallery_holds_the_strangers_of_camera_b(layouts):
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


def test_grid_name_gives_camera_and_box(layouts):
    parsed = grid.parse(layouts("grid"), {})
    image = next(image for image in parsed.images if image.path.startswith("gallery/0001"))
    assert (image.person, image.camera, image.frame, image.bbox) == ("0001", 1, 25010, (-3, 32, 90, 180))
    strangers = [image for image in parsed.images if image.kind == "distractor"]
    assert [image.person for image in strangers] == [None, None]


def test_grid_follows_the_official_folds(layouts):
    parsed = grid.parse(layouts("grid"), {})
    train, query, gallery = roles(parsed, "grid/official10", 0)  # people 1, 2 and 3 train
    assert len(train) == 6
    assert [path[6:10] for path in query] == ["0004", "0005", "0006"]
    assert [path[8:12] for path in gallery] == ["0004", "0005", "0006", "0000", "0000"]
    assert len({number for _, number, _ in parsed.splits}) == 10


def test_grid_folds_as_text_are_the_same(layouts):
    folder = layouts("grid")
    expected = grid.parse(folder, {}).splits
    lines = [" ".join(map(str, fold)) for fold in grid.read_folds(folder)]
    (folder / grid.PARTITIONS).unlink()
    (folder / grid.FOLDS).write_text("\n".join(lines) + "\n")
    assert grid.parse(folder, {}).splits == expected


def test_grid_without_folds_is_partial(layouts):
    folder = layouts("grid")
    (folder / grid.PARTITIONS).unlink()
    parsed = grid.parse(folder, {})
    assert (parsed.missing, parsed.splits) == ((grid.PARTITIONS,), {})


def test_grid_bad_folds(layouts):
    folder = layouts("grid")
    savemat(folder / grid.PARTITIONS, {"something": np.zeros(3)})
    with pytest.raises(UserError, match="trainIdxAll"):
        grid.parse(folder, {})
    (folder / grid.PARTITIONS).write_bytes(b"")
    with pytest.raises(UserError, match="trainIdxAll"):
        grid.parse(folder, {})
    (folder / grid.PARTITIONS).unlink()
    (folder / grid.FOLDS).write_text("1 2 99\n" * 10)
    with pytest.raises(UserError, match="fold 1 names identities"):
        grid.parse(folder, {})
    (folder / grid.FOLDS).write_text("one two\n")
    with pytest.raises(UserError, match="identity numbers"):
        grid.parse(folder, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folds: folds[:3], "3 folds instead of 10"),
        (lambda folds: [*folds, folds[0]], "11 folds instead of 10"),
        (
            lambda folds: [*folds[:9], folds[9][:2]],
            "fold 10 has 2 different identities in 2 entries",
        ),
        (
            lambda folds: [[1, 1, 2], *folds[1:]],
            "fold 1 has 2 different identities in 3 entries",
        ),
        (lambda folds: [[1, 2, 3, 4], *folds[1:]], "in 4 entries instead of 3"),
    ],
)
@pytest.mark.parametrize("text", [True, False])
def test_r18_grid_has_ten_folds_of_half_the_people(layouts, change, said, text):
    folder = layouts("grid")
    changed = change(grid.read_folds(folder))
    if text:
        (folder / grid.PARTITIONS).unlink()
        (folder / grid.FOLDS).write_text("".join(" ".join(map(str, fold)) + "\n" for fold in changed))
    else:
        cells = np.empty((1, len(changed)), object)
        for number, fold in enumerate(changed):
            cells[0, number] = {"a": 0, "b": 0, "trainIdx": np.array([fold], np.uint8)}
        savemat(folder / grid.PARTITIONS, {"trainIdxAll": cells})
    with pytest.raises(UserError, match=said):
        grid.parse(folder, {})


def test_grid_distractor_is_no_probe(layouts, draw):
    folder = draw(layouts("grid"), ["probe/0000_1_25004_107_32_106_221.jpeg"])
    with pytest.raises(UserError, match="cannot be a probe"):
        grid.parse(folder, {})


@pytest.fixture
def whole_ilids(draw, tmp_path):
    """whole_ilids(people): two images each, 59 more; expects 119 people, 238 images."""
    from dgreid.datasets import parse

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
        rules.published_people(settings, parsed, "here")
    with pytest.raises(
        UserError, match="ids 120 instead of 119, images 240 instead of 238; something was added"
    ):
        rules.data_kind(settings, parsed, "here")  # more than the whole is not partial


def test_ilids_whole_and_partial(whole_ilids):
    settings, parsed = whole_ilids(range(1, 120))
    rules.published_people(settings, parsed, "here")
    assert rules.data_kind(settings, parsed, "here") == "full"


def test_ilids_with_fewer_people_may_be_partial(whole_ilids):
    settings, parsed = whole_ilids(range(1, 100), allow_partial=True)
    rules.published_people(settings, parsed, "here")
    assert rules.data_kind(settings, parsed, "here") == "partial"


def test_ilids_takes_the_folder_whose_images_are_named_right(layouts, draw):
    folder = draw(layouts("ilids"), ["images/holiday.jpg"])
    (folder / "Persons").rename(folder / "Images2")
    (folder / "images").rename(folder / "Persons")
    (folder / "Images2").rename(folder / "images")
    assert {image.path.split("/")[0] for image in ilids.parse(ilids.LAYOUT.find(folder), {}).images} == {"images"}


def test_ilids_query_and_gallery_are_two_images_of_each_test_person(layouts):
    parsed = ilids.parse(layouts("ilids"), {})
    assert all(image.camera is None for image in parsed.images)
    for number in range(10):
        train, query, gallery = roles(parsed, "ilids/rand10", number)
        assert len(query) == len(gallery) == 4  # 7 people: 3 train
        assert [path[8:12] for path in query] == [path[8:12] for path in gallery]
        assert not set(query) & set(gallery)
        assert not {path[8:12] for path in train} & {path[8:12] for path in query}
