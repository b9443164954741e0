import torch

from dgreid.networks.neck import BNNeck


def test_neck_has_a_frozen_zero_bias():
    neck = BNNeck(5)
    optimiser = torch.optim.SGD(neck.parameters(), lr=1.0, weight_decay=0.1)
    neck(torch.randn(8, 5)).square().sum().backward()
    optimiser.step()
    assert neck.weight.requires_grad and neck.bias.tolist() == [0] * 5
