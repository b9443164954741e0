"""The shipped data set files: known parsers, options and counts; whole copies by names alone."""

import os
import random

import pytest

from dgreid.datasets import layout_of, parse, parser, splits, tally
from dgreid.datasets.config import load_dataset
from dgreid.datasets.parsers import COMMON_OPTIONS
from dgreid.errors import UserError
from dgreid.params import names as choices

PAIRS = (971, 306, 107, 193, 239)
PUBLISHED = {  # data sets whose counts are published
    *("caviar4reid", "cuhk01", "cuhk02", "cuhk03", "cuhk03_both", "cuhk03_labeled", "cuhksysu", "dukemtmc"),
    *("grid", "ilids", "market1501", "msmt17", "msmt17_v1", "prid2011", "threedpes", "viper"),
}


GAPS = (  # of the numbers 0..873, those nobody has: 242, as a public description of the set lists them
    *range(247, 300), 349, 352, 356, 363, *range(396, 500), 530, 559, 586, 602, 644, 663, 665, 668, 681,
    688, 691, 694, 695, 704, 710, 712, 718, 719, 727, 730, 739, *range(742, 800), 810, 857,
)  # fmt: skip
VIPER = frozenset(f"{number:03d}" for number in range(874) if number not in GAPS)


@pytest.fixture
def touch(tmp_path):
    """Create empty files: parsers read names only."""

    def make(paths):
        paths = list(paths)
        for folder in sorted({path.rsplit("/", 1)[0] for path in paths}):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for path in paths:
            os.mknod(tmp_path / path)
        return tmp_path

    return make


def test_every_file_is_sound(root):
    names = choices("dataset")
    assert len(names) >= 20 and set(names) >= PUBLISHED
    for name in names:
        config = load_dataset(name)
        assert set(config.options) <= {*COMMON_OPTIONS, *layout_of(config.parser).options}, name
        assert config.expect or name not in PUBLISHED, f"{name}: the published counts must be enforced"
        assert all(tally.is_count(count) for count in config.expect), name
        assert not config.md5 or config.archive, f"{name}: an md5 belongs to a file name"


def test_market_counts_add_up(root):
    expect = load_dataset("market1501").expect

    def cameras(prefix):
        return sum(expect[f"{prefix}_camera_{camera}"] for camera in range(1, 7))

    assert cameras("train") == expect["train_images"]
    assert cameras("query") == expect["query_images"]
    assert cameras("distractors") == expect["distractors"]
    assert cameras("gallery") + expect["distractors"] + expect["junk"] == expect["gallery_images"]
    assert cameras("train") + cameras("query") + cameras("gallery") == expect["persons"]


@pytest.mark.parametrize("name", ["cuhk02", "cuhk03", "viper", "prid2011", "cuhk01"])
def test_camera_counts_add_up(root, name):
    expect = load_dataset(name).expect
    assert sum(n for count, n in expect.items() if count.startswith("camera_")) == expect["images"]


def test_a_whole_viper_is_full(root, touch):
    people = sorted(VIPER)
    folder = touch([f"VIPeR/cam_{c}/{i}_{a}.bmp" for i in people for c, a in (("a", 0), ("b", 90))])
    config = load_dataset("viper")
    parsed = parse(config, parser("viper").LAYOUT.find(folder))
    assert tally.data_kind(config, parsed, folder) == "full"
    splits.check_frozen(parsed, layout_of(config.parser).split_sets, config.title)
    assert not parsed.notes
    assert (people[0], people[-1], len(people)) == ("000", "873", 632)
    sizes = {len(paths) for (_, _, role), paths in parsed.splits.items() if role != "train"}
    assert sizes == {316}


def test_a_whole_viper_of_metabins_authors_is_full_and_split_as_ours(root, touch):
    people = sorted(VIPER)
    folder = touch(
        f"viper/split_{split}a/{'train' if number % 2 else role}/p{who}_c{camera}_d090.png"
        for split in range(1, 11)
        for number, who in enumerate(people)
        for camera, role in ((1, "query"), (2, "gallery"))
    )
    config = load_dataset("viper")
    parsed = parse(config, parser("viper").LAYOUT.find(folder))
    assert tally.data_kind(config, parsed, folder) == "full"
    splits.check_frozen(parsed, layout_of(config.parser).split_sets, config.title)
    assert not parsed.notes


def test_a_whole_prid_is_full_with_934_identities(root, touch):
    names = [f"cam_{c}/person_{i:04d}.png" for c, n in (("a", 385), ("b", 749)) for i in range(1, n + 1)]
    folder = touch([f"prid_2011/single_shot/{name}" for name in names])
    config = load_dataset("prid2011")
    parsed = parse(config, parser("prid2011").LAYOUT.find(folder))
    assert tally.data_kind(config, parsed, folder) == "full"
    assert tally.counts(parsed)["ids"] == 934
    for number in range(10):
        assert len(parsed.splits["prid/rand10", number, "query"]) == 100
        assert len(parsed.splits["prid/rand10", number, "gallery"]) == 649


def test_a_whole_cuhk02_is_full_with_1816_identities(root, touch):
    folder = touch(
        [
            f"Dataset/P{pair}/cam{camera}/{identity:03d}_{index}.png"
            for pair, people in enumerate(PAIRS, start=1)
            for identity in range(1, people + 1)
            for camera in (1, 2)
            for index in (1, 2)
        ]
    )
    config = load_dataset("cuhk02")
    parsed = parse(config, parser("cuhk02").LAYOUT.find(folder))
    assert tally.data_kind(config, parsed, folder) == "full"
    assert tally.counts(parsed)["ids"] == 1816
    assert len(parsed.splits["cuhk02/pair5", 0, "query"]) == 478


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("viper", [48, 128]),
        ("market1501", [64, 128]),
        ("prid2011", [64, 128]),
        ("cuhk02", [60, 160]),
        ("cuhk01", [60, 160]),
    ],
)
def test_r15_published_sizes_are_enforced(root, name, size):
    assert load_dataset(name).options["size"] == size


def test_r18_the_frozen_splits_of_prid_image_by_image(root, touch):
    names = [f"cam_{c}/person_{i:04d}.png" for c, n in (("a", 385), ("b", 749)) for i in range(1, n + 1)]
    folder = touch([f"single_shot/{name}" for name in names])
    config = load_dataset("prid2011")
    parsed = parse(config, parser("prid2011").LAYOUT.find(folder))
    splits.check_frozen(parsed, layout_of(config.parser).split_sets, config.title)
    query = parsed.splits["prid/rand10", 3, "query"]
    query[0], query[1] = query[1], query[0]
    with pytest.raises(UserError, match="prid/rand10 are not the frozen ones"):
        splits.check_frozen(parsed, layout_of(config.parser).split_sets, config.title)


def test_r18_the_frozen_splits_do_not_depend_on_the_spelling_of_folders(root, touch):
    names = [f"CAM_{c}/person_{i:04d}.png" for c, n in (("A", 385), ("B", 749)) for i in range(1, n + 1)]
    folder = touch([f"Single_Shot/{name}" for name in names])
    config = load_dataset("prid2011")
    parsed = parse(config, parser("prid2011").LAYOUT.find(folder))
    splits.check_frozen(parsed, layout_of(config.parser).split_sets, config.title)
    assert tally.data_kind(config, parsed, folder) == "full"


@pytest.mark.parametrize("first", [0, 1, 100])
def test_r18_viper_with_other_numbers_is_split_with_a_warning(root, touch, first):
    folder = touch([f"VIPeR/cam_{c}/{i:03d}_0.bmp" for i in range(first, first + 632) for c in "ab"])
    config = load_dataset("viper")
    parsed = parse(config, parser("viper").LAYOUT.find(folder))
    splits.check_frozen(parsed, layout_of(config.parser).split_sets, config.title)
    (note,) = parsed.notes  # which the manifest keeps
    assert "viper/rand10_a2b are not the frozen ones" in note


def test_r18_grid_with_other_folds_is_named_in_a_warning(root, touch):
    names = [
        f"{place}/{i:04d}_{c}_1_2_3_4_5.jpeg"
        for place, c in (("probe", 1), ("gallery", 2))
        for i in range(1, 251)
    ]
    folder = touch(names + [f"gallery/0000_5_{i}_2_3_4_5.jpeg" for i in range(775)])
    draw = random.Random(0)
    folds = [sorted(draw.sample(range(1, 251), 125)) for _ in range(10)]
    (folder / "train_ids_10_folds.txt").write_text("".join(" ".join(map(str, fold)) + "\n" for fold in folds))
    parsed = parse(load_dataset("grid"), folder)
    splits.check_frozen(parsed, layout_of("grid").split_sets, "GRID")
    (note,) = parsed.notes
    assert "grid/official10 are not the frozen ones" in note and "folds the published one" in note


def cuhk03_np(variant):
    """Names of all new-protocol images: one query per person and view, the others shared out."""
    expect = load_dataset({"detected": "cuhk03", "labeled": "cuhk03_labeled"}[variant]).expect
    for folder, role, people in (
        ("bounding_box_train", "train", range(1, 768)),
        ("query", "query", range(768, 1468)),
        ("bounding_box_test", "gallery", range(768, 1468)),
    ):
        for number in range(expect[f"{role}_images"]):
            view, shot = number // len(people) % 2 + 1, number // len(people) + (role == "gallery") * 2
            yield f"{folder}/{people[number % len(people)]:04d}_c{view}_{shot}.png"


@pytest.mark.parametrize(("name", "variant"), [("cuhk03", "detected"), ("cuhk03_labeled", "labeled")])
def test_whole_new_protocol_folders_are_full_whatever_their_camera_pairs(root, touch, name, variant):
    folder = touch([f"cuhk03_np_{variant}/{path}" for path in cuhk03_np(variant)])
    config = load_dataset(name)
    parsed = parse(config, parser("cuhk03").LAYOUT.find(folder))
    assert tally.data_kind(config, parsed, folder) == "full"
    assert tally.counts(parsed)["ids"] == 1467
    assert "camera_1 " in parsed.notes[0] and "if its numbers mean what we take them for" in parsed.notes[0]


@pytest.mark.parametrize("role", ["bounding_box_train", "query", "bounding_box_test"])
def test_new_protocol_folders_have_the_counts_of_their_roles(root, touch, role):
    paths = list(cuhk03_np("detected"))
    lost = next(path for path in paths if path.startswith(role))
    other = "query" if role == "bounding_box_train" else "bounding_box_train"
    folder = touch([*(path for path in paths if path != lost), f"{other}/0001_c1_99.png"])  # the same total
    config = load_dataset("cuhk03")
    parsed = parse(config, parser("cuhk03").LAYOUT.find(folder))
    with pytest.raises(UserError, match="not the published CUHK03"):
        tally.data_kind(config, parsed, folder)
