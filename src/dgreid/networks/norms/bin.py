"""MetaBIN's batch-instance normalisation, with an affine map for each branch."""

import torch
from torch import Tensor, nn

from dgreid.networks.norms.batch_instance import BatchInstance


class BatchInstanceNorm2d(BatchInstance):
    """MetaBIN's layer: y = balance * BN(x) + (1 - balance) * IN(x), per channel (MetaBIN, eq. 2).

    Parameters, (C,) each: `balance` (the gate, initially 1: pure BN; the code that optimises it must keep it
    in [0, 1]), `batch_weight`, `batch_bias`, `instance_weight`, `instance_bias`. Buffers: `running_mean`,
    `running_var` of the batch branch. `torch.func.functional_call` can override `balance` for one forward
    pass. Differentiable once, unless `double_differentiable` is set.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__(channels, eps, momentum)
        self.batch_weight = nn.Parameter(torch.ones(channels))
        self.batch_bias = nn.Parameter(torch.zeros(channels))
        self.instance_weight = nn.Parameter(torch.ones(channels))
        self.instance_bias = nn.Parameter(torch.zeros(channels))

    def affine(self, one_pixel: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return each branch's own map; the instance branch of a 1x1 map is 0, as released."""
        bias = self.instance_bias * 0 if one_pixel else self.instance_bias
        return self.batch_weight, self.batch_bias, self.instance_weight, bias

    @torch.no_grad()
    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """Take over a trained batch norm; the instance branch keeps weight 1, bias 0 (as released)."""
        self.batch_weight.copy_(norm.weight)
        self.batch_bias.copy_(norm.bias)
        self.running_mean.copy_(norm.running_mean)
        self.running_var.copy_(norm.running_var)


LAYER = BatchInstanceNorm2d
