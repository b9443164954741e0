"""The shipped data set files: known parsers, options and counts; whole copies by names alone."""

import pytest

from dgreid.config import choices, load_dataset
from dgreid.datasets import parse, parser, rules, splits
from dgreid.errors import UserError

PAIRS = (971, 306, 107, 193, 239)


@pytest.fixture
def touch(tmp_path):
    """Create empty files: parsers read names only."""

    def make(paths):
        for folder in sorted({path.rsplit("/", 1)[0] for path in paths}):
            (tmp_path / folder).mkdir(parents=True)
        for path in paths:
            (tmp_path / path).touch()
        return tmp_path

    return make


def test_every_file_is_sound(root):
    names = choices("dataset")
    assert len(names) >= 20
    for name in names:
        config = load_dataset(name)
        module = parser(config.parser)
        assert set(config.options) <= {"size", "allow_partial", *getattr(module, "OPTIONS", ())}, name
        assert config.expect or config.access == "drawn", f"{name}: the published counts must be enforced"
        assert all(rules._countable(count) for count in config.expect), name
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
    identities = [*range(600), *range(842, 874)]
    folder = touch([f"VIPeR/cam_{c}/{i:03d}_{a}.bmp" for i in identities for c, a in (("a", 0), ("b", 90))])
    config = load_dataset("viper")
    parsed = parse(config, parser("viper").find(folder))
    assert rules.data_kind(config, parsed, folder) == "full"
    sizes = {len(paths) for (_, _, role), paths in parsed.splits.items() if role != "train"}
    assert sizes == {316}


def test_a_whole_prid_is_full_with_934_people(root, touch):
    names = [f"cam_{c}/person_{i:04d}.png" for c, n in (("a", 385), ("b", 749)) for i in range(1, n + 1)]
    folder = touch([f"prid_2011/single_shot/{name}" for name in names])
    config = load_dataset("prid2011")
    parsed = parse(config, parser("prid2011").find(folder))
    assert rules.data_kind(config, parsed, folder) == "full"
    assert rules.counts(parsed)["ids"] == 934
    for number in range(10):
        assert len(parsed.splits["prid/rand10", number, "query"]) == 100
        assert len(parsed.splits["prid/rand10", number, "gallery"]) == 649


def test_a_whole_cuhk02_is_full_with_1816_people(root, touch):
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
    parsed = parse(config, parser("cuhk02").find(folder))
    assert rules.data_kind(config, parsed, folder) == "full"
    assert rules.counts(parsed)["ids"] == 1816
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
    parsed = parse(config, parser("prid2011").find(folder))
    splits.check_frozen(splits.contents(parsed.splits), config.title)
    query = parsed.splits["prid/rand10", 3, "query"]
    query[0], query[1] = query[1], query[0]
    with pytest.raises(UserError, match="prid/rand10 are not the frozen ones"):
        splits.check_frozen(splits.contents(parsed.splits), config.title)
