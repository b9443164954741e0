import numpy as np
import pytest
from scipy.io import savemat

from dgreid.datasets.parsers import grid
from dgreid.errors import UserError


def test_grid_name_gives_camera_and_box(layouts):
    parsed = grid.parse(layouts("grid"), {})
    image = next(image for image in parsed.images if image.path.startswith("gallery/0001"))
    assert (image.person, image.camera, image.frame, image.bbox) == ("0001", 1, 25010, (-3, 32, 90, 180))
    strangers = [image for image in parsed.images if image.kind == "distractor"]
    assert [image.person for image in strangers] == [None, None]


def test_grid_follows_the_official_folds(layouts, roles):
    parsed = grid.parse(layouts("grid"), {})
    train, query, gallery = roles(parsed, "grid/official10", 0)  # people 1, 2 and 3 train
    assert len(train) == 6
    assert [path[6:10] for path in query] == ["0004", "0005", "0006"]
    assert [path[8:12] for path in gallery] == ["0004", "0005", "0006", "0000", "0000"]
    assert len({number for _, number, _ in parsed.splits}) == 10


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_grid_folds_as_text_are_the_same(layouts, mark):
    folder = layouts("grid")
    expected = grid.parse(folder, {}).splits
    lines = [" ".join(map(str, fold)) for fold in grid.read_folds(folder)]
    (folder / grid.PARTITIONS).unlink()
    (folder / grid.FOLDS).write_bytes(mark + "\n".join(lines).encode() + b"\r\n")
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
def test_r18_grid_has_ten_folds_of_half_the_identities(layouts, change, said, text):
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
