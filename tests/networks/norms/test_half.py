import pytest
import torch
from torch.nn import functional as F

from dgreid.networks.norms import (
    IBN,
    HalfInstanceNorm2d,
)


@pytest.mark.parametrize("channels", [2, 33, 89])  # 33 and 89 are widths of MobileNetV2 x1.4
def test_half_splits_at_the_ceiling_batch_norm_first(channels):
    torch.manual_seed(0)
    x = torch.randn(4, channels, 5, 3)
    half = -(-channels // 2)
    expected = torch.cat(
        [F.batch_norm(x[:, :half], None, None, training=True), F.instance_norm(x[:, half:])], 1
    )
    torch.testing.assert_close(HalfInstanceNorm2d(channels)(x), expected)


@pytest.mark.parametrize("factory", [HalfInstanceNorm2d, IBN])
def test_a_half_does_not_see_the_other(factory):
    torch.manual_seed(0)
    norm, x = factory(6), torch.randn(4, 6, 5, 3)
    changed = x.clone()
    changed[:, :3] *= 7
    same = torch.isclose(norm(x), norm(changed)).all((0, 2, 3))
    assert same[3:].all()
    one = norm.eval()(x)[:1]  # at test time the batch half has running statistics, the other its own
    torch.testing.assert_close(one, norm(x[:1]))
    scaled = torch.isclose(norm(5 * x), norm(x), atol=1e-3).all((0, 2, 3))
    expected = [False] * 3 + [True] * 3
    assert scaled.tolist() == (expected if factory is HalfInstanceNorm2d else expected[::-1])
