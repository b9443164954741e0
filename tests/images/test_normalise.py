import numpy as np
import torch

from dgreid.images.normalise import MEAN, STD, normalise


def test_normalise_is_imagenet_in_channels_first():
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), np.uint8))
    out = normalise(images)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    torch.testing.assert_close(out, (images.permute(0, 3, 1, 2) / 255 - mean) / std, atol=1e-5, rtol=1e-5)
    assert out.shape == (5, 3, 8, 6) and out.dtype == torch.float32
