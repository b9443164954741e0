import torch

from dgreid.networks.norms import (
    InstanceNorm2d,
)


def test_instance_norm_of_one_pixel_is_zero():
    norm = InstanceNorm2d(3)
    norm.bias.data.uniform_()
    assert norm(torch.randn(2, 3, 1, 1)).count_nonzero() == 0
