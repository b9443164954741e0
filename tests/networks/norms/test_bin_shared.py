import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.networks.norms import (
    SharedBatchInstanceNorm2d,
)
from helpers.norms import random_layer


@pytest.mark.parametrize("train", [True, False])
def test_shared_gate_one_is_batch_norm_and_zero_is_instance_norm_with_the_same_affine_map(train):
    torch.manual_seed(0)
    x = torch.randn(4, 5, 6, 3)
    layer = random_layer(5, torch.float32, SharedBatchInstanceNorm2d).train(train)
    norm = nn.BatchNorm2d(5).train(train)
    norm.load_state_dict({n: t for n, t in layer.state_dict().items() if n != "balance"}, strict=False)
    layer.balance.data.fill_(1)
    torch.testing.assert_close(layer(x), norm(x))
    layer.balance.data.fill_(0)
    torch.testing.assert_close(layer(x), F.instance_norm(x, weight=layer.weight, bias=layer.bias))


def test_gradient_of_the_shared_gate_is_the_published_sum():
    torch.manual_seed(0)
    layer = random_layer(4, kind=SharedBatchInstanceNorm2d)
    x, g = torch.randn(2, 3, 4, 5, 2, dtype=torch.float64)
    layer.train()(x).backward(g)
    batch = F.batch_norm(x, None, None, training=True)
    instance = F.instance_norm(x)
    expected = (g * layer.weight[:, None, None] * (batch - instance)).sum((0, 2, 3))
    torch.testing.assert_close(layer.balance.grad, expected)
