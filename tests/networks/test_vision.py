"""The guarded import of torchvision."""

import torch

from dgreid.networks import vision


def test_models_and_transforms_work():
    network = vision.models.mobilenet_v2(weights=None, width_mult=0.25)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 1000)
    image = torch.zeros(3, 8, 4, dtype=torch.uint8)
    image[:, :, 0] = 255
    flipped = vision.transforms.RandomHorizontalFlip(p=1)(image)
    assert torch.equal(flipped, image.flip(-1))
