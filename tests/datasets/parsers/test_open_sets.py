"""CAVIAR4REID and 3DPeS."""

from dgreid.datasets.parsers import caviar4reid, threedpes


def test_caviar_camera_is_known_for_people_with_twenty_images(draw, tmp_path):
    draw(tmp_path, [f"CAVIARa/0001{i:03d}.jpg" for i in range(1, 21)])
    draw(tmp_path, [f"CAVIARa/0051{i:03d}.jpg" for i in range(1, 11)])
    images = caviar4reid.parse(caviar4reid.LAYOUT.find(tmp_path), {}).images
    cameras = {
        person: [image.camera for image in images if image.person == person] for person in ("0001", "0051")
    }
    assert cameras == {"0001": [0] * 10 + [1] * 10, "0051": [None] * 10}


def test_threedpes_names_with_and_without_a_letter(draw, tmp_path):
    draw(
        tmp_path,
        [
            "3DPeS/166_B_1280_FRAME_105_RGB.bmp",
            "3DPeS/166_1280_FRAME_66_RGB.bmp",
            "3DPeS/9_8_FRAME_2_RGB.bmp",
        ],
    )
    images = {image.path: image for image in threedpes.parse(threedpes.LAYOUT.find(tmp_path), {}).images}
    lettered = images["166_B_1280_FRAME_105_RGB.bmp"]
    assert (lettered.person, lettered.sequence, lettered.frame, lettered.attrs) == (
        "166",
        1280,
        105,
        {"part": "B"},
    )
    assert images["166_1280_FRAME_66_RGB.bmp"].person == "166"
    assert images["9_8_FRAME_2_RGB.bmp"].person == "009"
    assert {image.camera for image in images.values()} == {None}
