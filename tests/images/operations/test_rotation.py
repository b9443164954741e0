import numpy as np
from PIL import Image

from dgreid.images.operations import rotation
from dgreid.images.streams import generator


def test_rotation_is_torchvisions_arithmetic_within_its_bounds():
    from dgreid.networks.vision import transforms

    images = np.random.default_rng(0).integers(1, 256, (50, 16, 12, 3)).astype(np.uint8)
    out = rotation.apply(images, rotation.Options(operation="rotation", degrees=30), generator(4))
    rng = generator(4)
    angles = [rng.uniform(-30, 30) for _ in images]
    for image, turned, angle in zip(images, out, angles, strict=True):
        expected = transforms.functional.rotate(Image.fromarray(image), angle)
        assert (turned == np.asarray(expected)).all()
