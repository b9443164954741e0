from dgreid.datasets.parsers import caviar4reid


def test_caviar_camera_is_known_for_identities_with_twenty_images(draw, tmp_path):
    draw(tmp_path, [f"CAVIARa/0001{i:03d}.jpg" for i in range(1, 21)])
    draw(tmp_path, [f"CAVIARa/0051{i:03d}.jpg" for i in range(1, 11)])
    images = caviar4reid.parse(caviar4reid.LAYOUT.find(tmp_path), {}).images
    cameras = {
        person: [image.camera for image in images if image.person == person] for person in ("0001", "0051")
    }
    assert cameras == {"0001": [0] * 10 + [1] * 10, "0051": [None] * 10}
