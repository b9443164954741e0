import io
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from dgreid.datasets.adopt import archive
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.images import open_image
from dgreid.datasets.parsers import cuhksysu
from dgreid.errors import UserError
from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, cuhksysu_raw

NAMES = {
    "crops_a": ("cropped_images/p11422_s16929_1.jpg", "11422", "s16929", 1, None),
    "crops_b": ("cropped_image/p00001_n02_s00031_hard1.png", "00001", "s31", 2, True),
    "crops_c": ("combine/00001_s1_0000001_0.jpg", "00001", "s1", 1, False),
}


@pytest.mark.parametrize("variant", sorted(NAMES))
def test_each_kind_of_crops_is_recognised_and_stated(draw, tmp_path, variant):
    path, person, scene, index, hard = NAMES[variant]
    draw(tmp_path, [f"CUHK-SYSU/{path}"])
    (image,) = cuhksysu.parse(cuhksysu.LAYOUT.find(tmp_path), {}).images
    assert image.variant == variant
    assert (image.person, image.scene, image.index, image.hard) == (person, scene, index, hard)
    assert image.camera is None


def test_two_kinds_of_crops_are_not_mixed(draw, tmp_path):
    draw(tmp_path, [NAMES["crops_a"][0], NAMES["crops_b"][0]])
    with pytest.raises(UserError, match="choose one"):
        cuhksysu.parse(tmp_path, {})
    (image,) = cuhksysu.parse(tmp_path, {"variant": "crops_a"}).images
    assert image.variant == "crops_a"


@pytest.mark.parametrize(("folder", "variant"), [("cropped_image", "crops_b"), ("cropped_images", "crops_a")])
def test_the_folder_that_is_named_decides_between_two_kinds(draw, tmp_path, folder, variant):
    given = draw(tmp_path / "given", [NAMES["crops_a"][0], NAMES["crops_b"][0]])
    settings = DatasetConfig(name="cuhksysu", title="CUHK-SYSU", parser="cuhksysu", access="open")
    root = archive.adopt(settings, given / folder, tmp_path / "raw")
    (image,) = cuhksysu.parse(root, {}).images
    assert (image.variant, image.path) == (variant, NAMES[variant][0])  # as from a folder that holds it alone
    assert open_image(root, image.path)
    with pytest.raises(UserError, match="choose one"):
        archive.adopt(settings, given, tmp_path / "raw", replace=True)


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
        images.append(cuhksysu.parse(cuhksysu.LAYOUT.find(release), {}).images)
    assert images[0] == images[1] and len(images[0]) == sum(len(scenes) for _, scenes in people)


def test_without_some_scenes_the_release_is_partial(release):
    save_mat5(release / "annotation/Person.mat", PERSONS)
    (release / "Image/SSM/s8.jpg").unlink()
    parsed = cuhksysu.parse(release, {})
    assert parsed.missing == ("1 of 2 scenes of Image/SSM (first s8.jpg)",)
    assert [image.scene for image in parsed.images] == ["s7", "s7"]


def test_scenes_are_found_whatever_the_case_of_their_names(release):
    save_mat5(release / "annotation/Person.mat", PERSONS)
    (release / "Image/SSM/s8.jpg").rename(release / "Image/SSM/s8.JPG")
    (release / "Image").rename(release / "image")
    parsed = cuhksysu.parse(cuhksysu.LAYOUT.find(release), {})
    assert (parsed.missing, len(parsed.images)) == ((), 3)
    for image in parsed.images:
        if image.bbox[2] < 10:
            assert open_image(release, image.path).size == (image.bbox[2] + 1, image.bbox[3] + 1)
    assert parsed.images[1].path == "image/SSM/s8.JPG#[0,0,10,20]"


@pytest.mark.parametrize("other", [None, "crops_a"])
def test_an_empty_folder_of_crops_hides_nothing_beside_it(release, draw, other):
    save_mat5(release / "annotation/Person.mat", PERSONS)
    (release / "cropped_image").mkdir()
    if other:
        draw(release, [NAMES[other][0]])
    found = cuhksysu.parse(cuhksysu.LAYOUT.find(release), {})
    assert {image.variant for image in found.images} == {other or "crops_b"}


def test_a_picture_that_is_no_scene_is_named(release):
    save_mat5(release / "annotation/Person.mat", PERSONS)
    shutil.copy(release / "Image/SSM/s8.jpg", release / "Image/SSM/holiday.jpg")
    with pytest.raises(UserError, match=r"1 of 3 image files are not named as in CUHK-SYSU .holiday\.jpg"):
        cuhksysu.parse(release, {})


@pytest.mark.parametrize("named", ["annotation", "annotation/Person.mat", "Image", "Image/SSM"])
def test_any_part_of_the_release_stands_for_it(release, tmp_path, named):
    save_mat5(release / "annotation/Person.mat", PERSONS)
    settings = DatasetConfig(name="cuhksysu", title="CUHK-SYSU", parser="cuhksysu", access="open")
    root = archive.adopt(settings, release / named, tmp_path / "raw")
    assert root.resolve() == release.resolve()
    assert archive.read_record(tmp_path / "raw/cuhksysu")["counts"]["images"] == 3


def test_r1_a_changed_scene_is_noticed(release, tmp_path):
    save_mat5(release / "annotation/Person.mat", PERSONS)
    settings = DatasetConfig(name="cuhksysu", title="CUHK-SYSU", parser="cuhksysu", access="open")
    root = archive.adopt(settings, release, tmp_path / "raw")
    with open(release / "Image/SSM/s8.jpg", "ab") as scene:
        scene.write(b"more")
    with pytest.raises(UserError, match="files are not those adopted"):
        archive.check_unchanged(settings, root, archive.read_record(tmp_path / "raw/cuhksysu"))


def test_without_any_scene_the_release_is_refused(release):
    save_mat5(release / "annotation/Person.mat", PERSONS)
    for scene in (release / "Image/SSM").iterdir():
        scene.unlink()
    settings = DatasetConfig(name="cuhksysu", title="CUHK-SYSU", parser="cuhksysu", access="open")
    with pytest.raises(UserError, match="hold no images; get a whole copy"):
        archive.adopt(settings, release, release / "raw")


def test_another_hdf5_file_is_one_sentence(release):
    with h5py.File(release / "annotation/Person.mat", "w") as mat:
        mat["Person/idname"] = [1]
    with pytest.raises(UserError, match=r"Person\.mat: not the released file, the table Person"):
        cuhksysu.parse(release, {})
    (release / "annotation/Person.mat").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"Person\.mat: not the released file, the table Person"):
        cuhksysu.parse(release, {})


@pytest.mark.parametrize(
    ("box", "columns", "rows"),  # x, y, w, h; the pixels im(y:y+h, x:x+w) of MATLAB in a scene of 30 x 40
    [
        ((1, 1, 4, 5), range(1, 6), range(1, 7)),
        ((26, 35, 4, 5), range(26, 31), range(35, 41)),  # to the last column and row
        ((1, 1, 29, 39), range(1, 31), range(1, 41)),
        ((7, 9, 0, 0), [7], [9]),
        ((0, 0, 3, 3), range(1, 4), range(1, 4)),  # outside on the left
    ],
)
def test_boxes_are_those_of_the_authors_script(tmp_path, box, columns, rows):
    row, column = np.meshgrid(
        np.arange(1, 41), np.arange(1, 31), indexing="ij"
    )  # every pixel says where it is
    Image.fromarray(np.stack([row, column, 0 * row], -1).astype(np.uint8)).save(tmp_path / "s1.png")
    crop = np.asarray(open_image(tmp_path, f"s1.png#[{','.join(map(str, box))}]"))
    assert np.array_equal(crop[:, 0, 0], rows) and np.array_equal(crop[0, :, 1], columns)


def test_the_drawn_release_has_its_identities_exactly_in_their_boxes(tmp_path):
    colours, drawn = {}, []
    for number, (colour, size) in enumerate((((250,) * 3, (24, 40)), ((5,) * 3, (17, 33))), start=1):
        name = f"p{number:05d}_n01_s00003_hard0.png"
        buffer = io.BytesIO()
        Image.new("RGB", size, colour).save(buffer, "png")
        drawn.append((Item(f"cropped_image/{name}", Shot(number, 0), size), buffer.getvalue()))
        colours[name] = colour, size
    for path, content in cuhksysu_raw.pack(drawn, {}, World("boxes")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    for image in cuhksysu.parse(tmp_path, {}).images:
        crop, (colour, size) = open_image(tmp_path, image.path), colours[image.name]
        assert crop.size == size
        pixels, grey = np.asarray(crop).astype(int), (120, 120, 110)
        to_person, to_street = (np.abs(pixels - other).sum(-1) for other in (colour, grey))
        assert (to_person < to_street).all()  # JPEG blurs the edge, but no row or column is the street's


def test_original_release_gives_inclusive_boxes(release, tmp_path):
    save_mat5(tmp_path / "annotation/Person.mat", PERSONS)
    images = cuhksysu.parse(cuhksysu.LAYOUT.find(tmp_path), {}).images
    assert [image.name for image in images] == [
        "p00001_n01_s00007_hard0.png", "p00001_n02_s00008_hard1.png", "p00020_n01_s00007_hard0.png",
    ]  # fmt: skip
    crop, scene = open_image(tmp_path, images[0].path), open_image(tmp_path, "Image/SSM/s7.jpg")
    assert crop.size == (5, 6)
    assert np.array_equal(np.asarray(crop), np.asarray(scene)[2:8, 1:6])
    assert open_image(tmp_path, images[2].path).size == (11, 11)  # cut at the border of the scene
    with pytest.raises(UserError, match="empty"):
        open_image(tmp_path, "Image/SSM/s7.jpg#[31,3,4,5]")
    with pytest.raises(UserError, match="empty"):
        open_image(tmp_path, "Image/SSM/s7.jpg#[3,3,-2,5]")


@pytest.mark.parametrize("content", [{}, {"Person": [[]]}, {"Person": 3.0}, {"x": 1}])
def test_a_damaged_table_is_one_sentence(release, content):
    savemat(release / "annotation/Person.mat", content)
    with pytest.raises(UserError, match=r"Person\.mat: not the released file") as caught:
        cuhksysu.parse(release, {})
    assert "\n" not in str(caught.value)
