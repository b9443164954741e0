from dgreid.datasets.parsers import cuhk01


def test_cuhk01_image_number_gives_the_camera(draw, tmp_path):
    draw(tmp_path, [f"campus/0971{i:03d}.png" for i in (1, 2, 3, 4)])
    images = cuhk01.parse(cuhk01.LAYOUT.find(tmp_path), {}).images
    assert [(image.person, image.camera, image.camera_raw) for image in images] == [
        ("0971", 0, "A"), ("0971", 0, "A"), ("0971", 1, "B"), ("0971", 1, "B"),
    ]  # fmt: skip
    assert cuhk01.NAME.match("0971005.png") is None
