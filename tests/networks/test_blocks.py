import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.networks.blocks import BasicBlock, Bottleneck

X = torch.randn(2, 8, 6, 4, generator=torch.Generator().manual_seed(0))


def norm(layer, x):
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_the_shape_is_divided_by_the_stride(block, stride):
    y = block(8, 16, stride)(X)
    assert y.shape == (2, 16 * block.expansion, 6 // stride, 4 // stride) and y.min() >= 0


@pytest.mark.parametrize("stride", [1, 2])
def test_a_basic_block_is_two_convolutions_and_a_skip(stride):
    block = BasicBlock(8, 8, stride).eval()
    y = F.conv2d(X, block.conv1.weight, stride=stride, padding=1)
    y = norm(block.bn2, F.conv2d(norm(block.bn1, y).relu(), block.conv2.weight, padding=1))
    skip = X if stride == 1 else norm(block.downsample[1], F.conv2d(X, block.downsample[0].weight, stride=2))
    torch.testing.assert_close(block(X), (y + skip).relu())


def test_a_bottleneck_narrows_and_widens_around_its_strided_convolution():
    block = Bottleneck(8, 4, 2).eval()
    y = norm(block.bn1, F.conv2d(X, block.conv1.weight)).relu()
    y = norm(block.bn2, F.conv2d(y, block.conv2.weight, stride=2, padding=1)).relu()
    y = norm(block.bn3, F.conv2d(y, block.conv3.weight))
    skip = norm(block.downsample[1], F.conv2d(X, block.downsample[0].weight, stride=2))
    torch.testing.assert_close(block(X), (y + skip).relu())


@pytest.mark.parametrize("block", [BasicBlock(8, 8, 1), Bottleneck(8, 2, 1)])
def test_the_skip_is_the_input_if_the_shape_stays(block):
    assert type(block.downsample) is nn.Identity
    assert type(type(block)(8, 16, 1).downsample) is nn.Sequential  # the width changes


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_the_first_norm_and_one_of_the_sum_can_be_chosen(block):
    made = block(8, 8 // block.expansion, 1, norm=nn.InstanceNorm2d)
    assert type(made.bn1) is nn.InstanceNorm2d and type(made.bn2) is nn.BatchNorm2d
    made.output_norm = nn.Module()
    made.output_norm.forward = lambda x: x * 0 - 1
    assert (made(X) == 0).all()  # after the sum, before the activation
