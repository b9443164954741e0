import h5py
import numpy as np
import pytest
from scipy.io import savemat

from dgreid.datasets import cuhksysu
from dgreid.datasets.images import open_image
from dgreid.errors import UserError

NAMES = {
    "crops_a": ("cropped_images/p11422_s16929_1.jpg", "11422", "s16929", 1, None),
    "crops_b": ("cropped_image/p00001_n02_s00031_hard1.png", "00001", "s31", 2, True),
    "crops_c": ("combine/00001_s1_0000001_0.jpg", "00001", "s1", 1, False),
}


@pytest.mark.parametrize("variant", sorted(NAMES))
def test_each_kind_of_crops_is_recognised_and_stated(draw, tmp_path, variant):
    path, person, scene, index, hard = NAMES[variant]
    draw(tmp_path, [f"CUHK-SYSU/{path}"])
    (image,) = cuhksysu.parse(cuhksysu.find(tmp_path), {}).images
    assert image.variant == variant
    assert (image.person, image.scene, image.index, image.hard) == (person, scene, index, hard)
    assert image.camera is None


def test_two_kinds_of_crops_are_not_mixed(draw, tmp_path):
    draw(tmp_path, [NAMES["crops_a"][0], NAMES["crops_b"][0]])
    with pytest.raises(UserError, match="choose one"):
        cuhksysu.parse(tmp_path, {})
    (image,) = cuhksysu.parse(tmp_path, {"variant": "crops_a"}).images
    assert image.variant == "crops_a"


def test_crops_that_are_not_here(draw, tmp_path):
    draw(tmp_path, [NAMES["crops_a"][0]])
    with pytest.raises(UserError, match="not crops_b"):
        cuhksysu.parse(tmp_path, {"variant": "crops_b"})


PERSONS = [
    ("p1", [("s7.jpg", [2, 3, 4, 5], 0), ("s8.jpg", [0, 0, 10, 20], 1)]),
    ("p20", [("s7.jpg", [20, 30, 50, 50], 0)]),
]


def save_mat5(file, people):
    """Person.mat as released, MATLAB 5."""

    def scenes(*rows):
        table = np.zeros(len(rows), [("imname", object), ("idlocate", object), ("ishard", object)])
        for row, (name, box, hard) in zip(table, rows, strict=True):
            row["imname"], row["idlocate"], row["ishard"] = name, np.array(box), hard
        return table

    persons = np.zeros(len(people), [("idname", object), ("nAppear", object), ("scene", object)])
    for number, (name, appearances) in enumerate(people):
        persons[number] = (name, len(appearances), scenes(*appearances))
    savemat(file, {"Person": persons})


def save_mat73(file, people):
    """The same saved by MATLAB as version 7.3: fields of struct arrays are tables of references."""
    with h5py.File(file, "w") as mat:

        def value(content):
            text = isinstance(content, str)
            array = np.array([[ord(c)] for c in content], np.uint16) if text else np.atleast_2d(content).T
            return mat.create_dataset(f"#refs#/{len(mat.require_group('#refs#'))}", data=array).ref

        def struct(group, rows, fields):
            if len(rows) == 1:  # a single struct holds its fields themselves
                for field, ref in zip(fields, rows[0], strict=True):
                    group[field] = mat[ref]
            else:
                for number, field in enumerate(fields):
                    group[field] = np.array([[row[number]] for row in rows], h5py.ref_dtype)
            return group.ref

        def scene(number, appearances):
            rows = [
                (value(name), value(np.array(box, float)), value(float(hard)))
                for name, box, hard in appearances
            ]
            return struct(mat.create_group(f"#refs#/scene{number}"), rows, ("imname", "idlocate", "ishard"))

        rows = [(value(name), value(float(len(all))), scene(i, all)) for i, (name, all) in enumerate(people)]
        struct(mat.create_group("Person"), rows, ("idname", "nAppear", "scene"))


@pytest.fixture
def release(draw, tmp_path):
    """Two scenes, and an empty annotation folder."""
    draw(tmp_path, ["Image/SSM/s7.png", "Image/SSM/s8.png"], size=(30, 40))
    for name in ("s7", "s8"):  # lossless content under the released names
        (tmp_path / f"Image/SSM/{name}.png").rename(tmp_path / f"Image/SSM/{name}.jpg")
    (tmp_path / "annotation").mkdir()
    return tmp_path


@pytest.mark.parametrize("people", [PERSONS, PERSONS[:1], PERSONS[1:]])
def test_the_annotation_is_read_in_either_matlab_format(release, people):
    images = []
    for save in (save_mat5, save_mat73):
        save(release / "annotation/Person.mat", people)
        images.append(cuhksysu.parse(cuhksysu.find(release), {}).images)
    assert images[0] == images[1] and len(images[0]) == sum(len(scenes) for _, scenes in people)


def test_another_hdf5_file_is_one_sentence(release):
    with h5py.File(release / "annotation/Person.mat", "w") as mat:
        mat["Person/idname"] = [1]
    with pytest.raises(UserError, match=r"Person\.mat: no Person table"):
        cuhksysu.parse(release, {})
    (release / "annotation/Person.mat").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"Person\.mat: no Person table"):
        cuhksysu.parse(release, {})


def test_original_release_gives_inclusive_boxes(release, tmp_path):
    save_mat5(tmp_path / "annotation/Person.mat", PERSONS)
    images = cuhksysu.parse(cuhksysu.find(tmp_path), {}).images
    assert [image.name for image in images] == [
        "p00001_n01_s00007_hard0.png", "p00001_n02_s00008_hard1.png", "p00020_n01_s00007_hard0.png",
    ]  # fmt: skip
    crop, scene = open_image(tmp_path, images[0].path), open_image(tmp_path, "Image/SSM/s7.jpg")
    assert crop.size == (5, 6)
    assert np.array_equal(np.asarray(crop), np.asarray(scene)[3:9, 2:7])
    assert open_image(tmp_path, images[2].path).size == (10, 10)  # cut at the border of the scene
    with pytest.raises(UserError, match="empty"):
        open_image(tmp_path, "Image/SSM/s7.jpg#[30,3,4,5]")
    with pytest.raises(UserError, match="empty"):
        open_image(tmp_path, "Image/SSM/s7.jpg#[3,3,-2,5]")
