from dgreid.images.operations import flip
from dgreid.images.streams import generator
from helpers.pixels import pixels


def test_half_of_the_images_are_flipped_as_a_whole():
    images = pixels(4000)
    out = flip.apply(images, flip.Options(operation="flip", probability=0.5), generator(0))
    mirrored = (out == images[:, :, ::-1]).all((1, 2, 3))
    assert ((out == images).all((1, 2, 3)) ^ mirrored).all()
    assert 1900 < mirrored.sum() < 2100
