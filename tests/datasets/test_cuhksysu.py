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


def test_original_release_gives_inclusive_boxes(draw, tmp_path):
    draw(tmp_path, ["Image/SSM/s7.png", "Image/SSM/s8.png"], size=(30, 40))
    for name in ("s7", "s8"):  # lossless content under the released names
        (tmp_path / f"Image/SSM/{name}.png").rename(tmp_path / f"Image/SSM/{name}.jpg")

    def scenes(*rows):
        table = np.zeros(len(rows), [("imname", object), ("idlocate", object), ("ishard", object)])
        for row, (name, box, hard) in zip(table, rows, strict=True):
            row["imname"], row["idlocate"], row["ishard"] = name, np.array(box), hard
        return table

    persons = np.zeros(2, [("idname", object), ("nAppear", object), ("scene", object)])
    persons[0] = ("p1", 2, scenes(("s7.jpg", [2, 3, 4, 5], 0), ("s8.jpg", [0, 0, 10, 20], 1)))
    persons[1] = ("p20", 1, scenes(("s7.jpg", [20, 30, 50, 50], 0)))
    (tmp_path / "annotation").mkdir()
    savemat(tmp_path / "annotation/Person.mat", {"Person": persons})

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
