"""Finding the root of a data set by its layout."""

import pytest

from dgreid.datasets import looks_like, parser, parser_names, tally
from dgreid.datasets.names import as_published, has_names
from dgreid.errors import UserError


def test_the_names_decide_between_folders_of_the_same_layout(layouts, draw, tmp_path):
    layouts("viper", "small/one")
    layouts("prid2011", "small/one")  # below prid2011/: both have cam_a and cam_b
    layouts("market1501", "a")
    draw(tmp_path, ["market1501/b/query/0001_c2_f0046182.jpg", "market1501/c/query/0001_c1_1.png"])
    found = {
        name: parser(name).LAYOUT.find(tmp_path)
        for name in ("viper", "prid2011", "market1501", "dukemtmc", "cuhk03")
    }
    assert {name: str(root.relative_to(tmp_path)) for name, root in found.items()} == {
        "viper": "viper/small/one",
        "prid2011": "prid2011/small/one",
        "market1501": "market1501/a",
        "dukemtmc": "market1501/b",
        "cuhk03": "market1501/c",
    }
    assert looks_like(tmp_path / "viper") == ["VIPeR"]


NESTINGS = {
    "market1501": [
        "Market-1501-v15.09.15",
        "market1501/Market-1501-v15.09.15",
        "Market-1501",
        "market",
        "",
        "any/name",
    ],
    "viper": ["VIPeR", "viper/VIPeR", ""],
    "prid2011": ["prid_2011/single_shot", "prid2011/prid_2011/single_shot", "single_shot"],
    "grid": ["underground_reid", "grid/underground_reid", "GRID", ""],
    "ilids": ["i-LIDS_Pedestrian", "ilids/i-LIDS_Pedestrian", ""],
    "cuhk02": ["Dataset", "cuhk02/Dataset", "cuhk02", ""],
}


@pytest.mark.parametrize(("name", "nesting"), [(n, each) for n, all in NESTINGS.items() for each in all])
def test_root_is_found_at_every_usual_nesting(layouts, name, nesting):
    folder = layouts(name, nesting)
    assert parser(name).LAYOUT.find(folder) == folder / nesting


def test_ilids_images_folder(draw, tmp_path):
    draw(tmp_path, ["QMUL-iLIDS/images/0001001.jpg"])
    assert parser("ilids").LAYOUT.find(tmp_path) == tmp_path / "QMUL-iLIDS"


def test_single_shot_is_preferred_to_multi_shot(layouts, tmp_path, draw):
    folder = layouts("prid2011", "prid_2011/single_shot")
    draw(folder, ["prid_2011/multi_shot/cam_a/person_0001/0001.png", "prid_2011/multi_shot/cam_b/x/0001.png"])
    assert parser("prid2011").LAYOUT.find(folder).name == "single_shot"


@pytest.mark.parametrize("name", parser_names())
def test_another_folder_is_refused_with_the_expected_tree(name, tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(UserError, match="expected") as error:
        parser(name).LAYOUT.find(tmp_path)
    assert parser(name).LAYOUT.tree in str(error.value)


def test_two_candidates_are_not_guessed_between(layouts, draw):
    folder = layouts("market1501", "one")
    draw(folder, ["two/query/0002_c1s1_000451_03.jpg"])
    with pytest.raises(UserError, match="both look like"):
        parser("market1501").LAYOUT.find(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        parser("grid").LAYOUT.find(tmp_path / "absent")


def test_unknown_parser_proposes_the_nearest():
    with pytest.raises(UserError, match="market1501"):
        parser("market1502")


CASES = [  # parser, folder as published, as some copies have it
    ("prid2011", "cam_a", "CAM_A"), ("viper", "cam_b", "Cam_B"), ("grid", "probe", "Probe"),
    ("ilids", "Persons", "persons"), ("market1501", "query", "Query"), ("cuhk02", "P4", "p4"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "published", "spelled"), CASES)
def test_folders_are_found_in_whatever_case(layouts, config, name, published, spelled):
    from dgreid.datasets import parse

    folder = layouts(name, "any")
    expected = tally.counts(parse(config(name), parser(name).LAYOUT.find(folder)))
    (folder / "any" / published).rename(folder / "any" / spelled)
    root = parser(name).LAYOUT.find(folder)
    parsed = parse(config(name), root)
    assert tally.counts(parsed) == expected and parsed.missing == ()
    assert any(image.path.startswith(f"{spelled}/") for image in parsed.images)
    assert all((root / image.path).is_file() for image in parsed.images)


@pytest.mark.parametrize("name", sorted(NESTINGS))
def test_extensions_are_matched_whatever_their_case(layouts, name):
    folder = layouts(name, NESTINGS[name][0])
    plain = parser(name).parse(parser(name).LAYOUT.find(folder), {})
    for file in [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".jpg", ".jpeg", ".png", ".bmp")
    ]:
        file.rename(file.with_suffix(file.suffix.upper()))
    root = parser(name).LAYOUT.find(folder)
    assert has_names(root, parser(name).LAYOUT.places(root))
    found = parser(name).parse(root, {})
    assert [as_published(image.path) for image in found.images] == [image.path for image in plain.images]
    assert [image.person for image in found.images] == [image.person for image in plain.images]
    assert all((root / image.path).is_file() and image.path[-3:].isupper() for image in found.images)
    named = {key: [as_published(path) for path in paths] for key, paths in found.splits.items()}
    assert named == plain.splits
    assert parser(name).LAYOUT.title in looks_like(folder)


def test_3dpes_is_found_by_names_in_capitals(draw, tmp_path):
    draw(tmp_path, ["1_1_FRAME_12_RGB.BMP"])
    root = parser("threedpes").LAYOUT.find(tmp_path)
    assert [image.path for image in parser("threedpes").parse(root, {}).images] == ["1_1_FRAME_12_RGB.BMP"]
