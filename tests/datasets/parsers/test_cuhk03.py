import h5py
import numpy as np
import pytest
from scipy.io import savemat

from dgreid.datasets.images import open_image
from dgreid.datasets.parsers import cuhk03
from dgreid.errors import UserError

PEOPLE = (3, 2, 1, 1, 1)  # per pair
EMPTY = {(0, 0, 3), (1, 1, 9)}  # pair, person, column


def pixels(pair, person, column):
    value = 40 * pair + 10 * person + column
    return np.stack([np.full((5 + column, 3), value + channel, np.uint8) for channel in range(3)], axis=-1)


@pytest.fixture
def mat(tmp_path):
    """A small cuhk-03.mat with MATLAB's reversed axes and two empty cells."""
    with h5py.File(tmp_path / "cuhk-03.mat", "w") as file:
        for variant in ("detected", "labeled"):
            pairs = np.empty((1, 5), h5py.ref_dtype)
            for pair, count in enumerate(PEOPLE):
                cells = np.empty((10, count), h5py.ref_dtype)
                for person in range(count):
                    for column in range(10):
                        empty = (pair, person, column) in EMPTY
                        data = np.zeros(2, np.uint64) if empty else pixels(pair, person, column).T
                        cells[column, person] = file.create_dataset(
                            f"r/{variant}{pair}_{person}_{column}", data=data
                        ).ref
                pairs[0, pair] = file.create_dataset(f"r/{variant}{pair}", data=cells).ref
            file.create_dataset(variant, data=pairs)
        tests = [file.create_dataset(f"r/test{t}", data=np.array([[1, 1 + t], [2, 1]], float).T).ref
                 for t in range(2)]  # fmt: skip
        file.create_dataset("testsets", data=np.array([tests], h5py.ref_dtype))
    return tmp_path


def test_cuhk03_names_cameras_and_global_identities(mat):
    parsed = cuhk03.parse(cuhk03.LAYOUT.find(mat), {})
    assert len(parsed.images) == 10 * sum(PEOPLE) - 2  # empty cells are skipped, the rest of the row stays
    by_name = {image.name: image for image in parsed.images}
    assert "1_001_1_04.png" not in by_name
    assert "1_001_1_05.png" in by_name
    image = by_name["2_001_2_06.png"]
    assert image.path == "cuhk-03.mat#detected[2][1,6]"
    assert (image.person, image.camera, image.camera_raw, image.view) == ("0844", 3, "2/2", 1)


def test_cuhk03_pixels_have_the_right_axes(mat):
    image = open_image(mat, "cuhk-03.mat#detected[2][2,5]")
    assert np.array_equal(np.asarray(image), pixels(1, 1, 4))


def test_cuhk03_reference_that_is_not_there(mat):
    with pytest.raises(UserError, match="not in"):
        open_image(mat, "cuhk-03.mat#detected[2][9,5]")


def test_cuhk03_classic_test_sets(mat):
    parsed = cuhk03.parse(mat, {"variant": "labeled"})
    assert sorted({key[:2] for key in parsed.splits}) == [
        ("cuhk03/classic_labeled", 0), ("cuhk03/classic_labeled", 1),
    ]  # fmt: skip
    query, train = (parsed.splits["cuhk03/classic_labeled", 1, role] for role in ("query", "train"))
    assert {path.split("[")[1] + path.split("[")[2].split(",")[0] for path in query} == {"1]2", "2]1"}
    assert len(query) + len(train) == len(parsed.images)


def test_cuhk03_both_variants_in_one_pool_keep_identities_apart(mat):
    parsed = cuhk03.parse(mat, {"variant": "both"})
    alone = [cuhk03.parse(mat, {"variant": variant}) for variant in ("detected", "labeled")]
    assert len(parsed.images) == sum(len(one.images) for one in alone)
    assert {image.person for image in parsed.images} == {image.person for image in alone[0].images}
    assert {split_set for split_set, _, _ in parsed.splits} == {"cuhk03/classic_both"}
    people = {image.path: image.person for image in parsed.images}
    train, query = (parsed.splits["cuhk03/classic_both", 0, role] for role in ("train", "query"))
    assert {path.split("#")[1].split("[")[0] for path in train} == {"detected", "labeled"}
    assert not {people[path] for path in train} & {people[path] for path in query}
    trains = [
        one.splits[f"cuhk03/classic_{name}", 0, "train"]
        for one, name in zip(alone, cuhk03.VARIANTS, strict=True)
    ]
    assert train == trains[0] + trains[1]


def test_cuhk03_pool_needs_the_classic_test_sets(draw, tmp_path):
    draw(tmp_path, ["images_detected/1_001_1_01.png"])
    with pytest.raises(UserError, match=r"cuhk-03\.mat is needed"):
        cuhk03.parse(tmp_path, {"variant": "both"})


def test_cuhk03_unknown_variant(mat):
    with pytest.raises(UserError, match="did you mean 'labeled'"):
        cuhk03.parse(mat, {"variant": "labelled"})


def test_cuhk03_is_not_any_hdf5_file(tmp_path):
    (tmp_path / "cuhk-03.mat").write_bytes(b"<html>sign in</html>")
    with pytest.raises(UserError, match="not a whole MATLAB"):
        cuhk03.parse(tmp_path, {})
    with h5py.File(tmp_path / "cuhk-03.mat", "w") as file:
        file["other"] = 1
    with pytest.raises(UserError, match="not the released"):
        cuhk03.parse(tmp_path, {})


def test_cuhk03_without_the_new_protocol_file_says_what_is_missing(mat):
    parsed = cuhk03.parse(mat, {"variant": "labeled"})
    assert {split_set for split_set, _, _ in parsed.splits} == {"cuhk03/classic_labeled"}
    (note,) = parsed.notes
    assert "without cuhk03_new_protocol_config_labeled.mat beside it" in note


@pytest.fixture
def new_protocol(draw, tmp_path):
    """new_protocol(folder): three ready-made images below tmp_path/folder; returns tmp_path."""
    names = ("bounding_box_train/0843_c1_1", "query/0844_c2_6", "bounding_box_test/0844_c1_1")
    return lambda folder: draw(tmp_path, [f"{folder}/{name}.png" for name in names])


@pytest.mark.parametrize(
    "root", ["cuhk03-np/detected", "cuhknp/detected", "cuhk03_np_detected", "data/CUHK03-NP-Detected", "any"]
)
def test_cuhk03_new_protocol_folders_at_every_usual_root(new_protocol, root):
    folder = new_protocol(root)
    for given in (folder, folder / root):
        parsed = cuhk03.parse(cuhk03.LAYOUT.find(given), {})
        assert [(image.person, image.role) for image in parsed.images] == [
            ("0843", "train"), ("0844", "query"), ("0844", "gallery"),
        ]  # fmt: skip
        assert parsed.missing == () and parsed.images[0].variant == "detected"


@pytest.mark.parametrize("root", ["cuhk03-np/labeled", "cuhk03_np_labeled"])
def test_cuhk03_labeled_boxes_are_not_taken_for_detected_ones(new_protocol, root):
    folder = new_protocol(root)
    with pytest.raises(UserError, match="holds the labeled boxes only"):
        cuhk03.parse(cuhk03.LAYOUT.find(folder / root), {})
    with pytest.raises(UserError, match="holds the labeled boxes only"):
        cuhk03.parse(cuhk03.LAYOUT.find(folder), {"variant": "detected"})
    assert len(cuhk03.parse(cuhk03.LAYOUT.find(folder / root), {"variant": "labeled"}).images) == 3


def test_cuhk03_new_protocol_file_is_verified_and_used(mat, monkeypatch):
    file = mat / "cuhk03_new_protocol_config_detected.mat"
    names = ["1_001_1_01.png", "1_001_2_06.png", "2_001_1_01.png", "2_001_2_06.png", "2_001_2_07.png"]
    cells = np.empty((5, 1), object)
    cells[:, 0] = names
    index = {"train_idx": [1, 2], "query_idx": [3], "gallery_idx": [4, 5]}
    savemat(file, {"filelist": cells} | {key: np.array(value, np.uint16) for key, value in index.items()})
    with pytest.raises(UserError, match="not the published file"):
        cuhk03.parse(mat, {})
    monkeypatch.setattr(cuhk03, "md5", lambda path: cuhk03.NP_MD5[path.name])
    splits = cuhk03.parse(mat, {}).splits
    assert splits["cuhk03/np_detected", 0, "query"] == ["cuhk-03.mat#detected[2][1,1]"]
    assert splits["cuhk03/np_detected", 0, "gallery"] == [
        "cuhk-03.mat#detected[2][1,6]", "cuhk-03.mat#detected[2][1,7]",
    ]  # fmt: skip


def test_cuhk03_png_files_are_the_same_images(mat, tmp_path):
    parsed = cuhk03.parse(mat, {})
    png = tmp_path / "png"
    (png / "images_detected").mkdir(parents=True)
    for image in parsed.images:
        open_image(mat, image.path).save(png / "images_detected" / image.name)
    again = cuhk03.parse(cuhk03.LAYOUT.find(png), {})
    key = [(image.name, image.person, image.camera) for image in parsed.images]
    assert [(image.name, image.person, image.camera) for image in again.images] == key


def test_cuhk03_ready_made_folders_have_the_global_identities(draw, tmp_path):
    draw(tmp_path, [
        "cuhk03-np/detected/bounding_box_train/0843_c1_1.png",
        "cuhk03-np/detected/query/0844_c2_6.png",
        "cuhk03-np/detected/bounding_box_test/0844_c1_1.png",
    ])  # fmt: skip
    parsed = cuhk03.parse(cuhk03.LAYOUT.find(tmp_path), {})
    assert [(image.person, image.camera, image.role) for image in parsed.images] == [
        ("0843", 0, "train"), ("0844", 3, "query"), ("0844", 2, "gallery"),
    ]  # fmt: skip
    assert ("cuhk03/np_detected", 0, "query") in parsed.splits


def without_test_sets(file):
    del file["testsets"]


def sets_of_numbers(file):
    file["testsets"] = np.zeros((1, 20))


def group_of_test_sets(file):
    file.create_group("testsets")


def sets_of_three_rows(file):
    node = file.create_dataset("r/other", data=np.ones((3, 2)))
    file["testsets"] = np.array([[node.ref]], h5py.ref_dtype)


def empty_test_sets(file):
    file["testsets"] = np.zeros((1, 0), h5py.ref_dtype)


def sets_of_strangers(file):
    node = file.create_dataset("r/other", data=np.array([[5], [99]], float))
    file["testsets"] = np.array([[node.ref]], h5py.ref_dtype)


def numbers_instead_of_images(file):
    file["detected"] = np.zeros((1, 5))


def group_instead_of_images(file):
    file.create_group("detected")


@pytest.mark.parametrize(
    "change",
    [
        without_test_sets,
        sets_of_numbers,
        group_of_test_sets,
        sets_of_three_rows,
        empty_test_sets,
        sets_of_strangers,
        numbers_instead_of_images,
        group_instead_of_images,
    ],
)
def test_cuhk03_with_other_tables_is_one_sentence(mat, change):
    with h5py.File(mat / "cuhk-03.mat", "a") as file:
        name = "detected" if "images" in change.__name__ else "testsets"
        if change is not without_test_sets:
            del file[name]
        change(file)
    with pytest.raises(UserError, match=r"cuhk-03\.mat: .*get it again") as caught:
        cuhk03.parse(mat, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(2,), (1, 4, 5), (3, 40_000, 40_000)])
def test_a_cell_that_holds_no_image_is_one_sentence(mat, shape):
    with h5py.File(mat / "cuhk-03.mat", "a") as file:
        del file["r/detected1_1_4"]
        pairs = file[file["detected"][0][1]]
        node = file.create_dataset("r/new", shape=shape, dtype=np.uint8, chunks=True)
        table = pairs[:]
        table[4, 1] = node.ref
        pairs[:] = table
    with pytest.raises(UserError, match="its pixels are uint8"):
        open_image(mat, "cuhk-03.mat#detected[2][2,5]")
