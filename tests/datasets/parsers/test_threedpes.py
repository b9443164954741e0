from dgreid.datasets.parsers import threedpes


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
