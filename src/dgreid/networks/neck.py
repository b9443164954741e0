"""The layer between pooled features and classifier."""

import torch
from torch import nn


class BNNeck(nn.BatchNorm1d):
    """Batch norm on pooled features, (N, C) -> (N, C), with a bias frozen at 0 (Luo et al. 2019).

    Metric losses use the features before it; the classifier and the cosine at test time use those after it.
    """

    def __init__(self, channels: int):
        super().__init__(channels)
        self.bias.requires_grad_(False)
        torch.nn.init.zeros_(self.bias)
