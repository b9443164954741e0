from dgreid.datasets.parsers import cuhk02


def test_cuhk02_numbers_restart_in_each_pair(layouts):
    parsed = cuhk02.parse(layouts("cuhk02"), {})
    assert len({image.person for image in parsed.images}) == 10
    image = next(image for image in parsed.images if image.path == "P4/cam2/001_2.png")
    assert (image.person, image.camera, image.view, image.camera_raw) == ("4:001", 7, 1, "P4/cam2")


def test_cuhk02_searches_the_last_pair(layouts):
    splits = cuhk02.parse(layouts("cuhk02"), {}).splits
    assert {role: len(paths) for (_, _, role), paths in splits.items()} == {
        "train": 32,
        "query": 4,
        "gallery": 4,
    }


def test_cuhk02_without_a_pair_is_partial(draw, tmp_path):
    draw(tmp_path, ["P1/cam1/001_1.png", "P1/cam2/001_1.png"])
    parsed = cuhk02.parse(tmp_path, {})
    assert parsed.missing[:2] == ("P2/cam1", "P2/cam2")
    assert parsed.splits == {}
