import pytest

from dgreid.datasets.parsers import viper
from dgreid.errors import UserError


def person(path):
    return path.split("/")[1][:3]


def test_viper_splits_are_half_and_half_from_a_to_b(layouts, roles):
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


def test_viper_as_metabins_authors_divide_it(metabin_viper, roles):
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
