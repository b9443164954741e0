"""The base of MetaBIN's batch-instance norm and of Nam and Kim's: statistics and modes."""

import torch
from torch import Tensor, nn

from dgreid.networks.norms.fused import (
    BatchInstanceMixture,
    batch_statistics,
    differentiable_mixture,
    instance_statistics,
    precise,
)


class BatchInstance(nn.Module):
    """Computes statistics and handles modes; a subclass owns the affine parameters.

    The batch branch obeys `train()` (statistics of the batch, running ones updated), `hold(network)`
    (statistics of the batch, running ones untouched) and `eval()` (running ones). The instance branch always
    uses the image's own statistics.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.channels, self.eps, self.momentum = channels, eps, momentum
        self.track_running_stats = True  # `hold` switches this off
        self.double_differentiable = False  # True: plain operations, for second-order meta-learning
        self.balance = nn.Parameter(torch.ones(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def affine(self, one_pixel: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return weight and bias of the batch branch, then of the instance branch, (C,) each."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) -> (N, C, H, W), of the type of x; statistics are in float32 or better.

        Raises:
            ValueError: the input is not 4-D with this many channels, or has one value per channel in
            training.
        """
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(f"expected an input (N, {self.channels}, H, W), got {tuple(x.shape)}")
        count = x.numel() // self.channels  # M
        if self.training and count < 2:
            raise ValueError("expected more than one value per channel in training")
        dtype = precise(x)
        affine = self.affine(one_pixel=x.shape[-2:].numel() == 1)
        parameters = [p.to(dtype) for p in (self.balance, *affine)]
        running = None if self.training else (self.running_mean.to(dtype), self.running_var.to(dtype))
        if self.double_differentiable or torch.compiler.is_compiling():
            y, mean, var = differentiable_mixture(x, running, *parameters, self.eps)
        else:
            with torch.no_grad():
                m, v = instance_statistics(x)  # (N, C)
                mean, var = running or batch_statistics(m, v)  # (C,)
            y = BatchInstanceMixture.apply(x, m, v, mean, var, *parameters, self.training, self.eps)
        if self.training and self.track_running_stats:
            self._update_running_stats(mean, var * (count / (count - 1)))
        return y

    @torch.no_grad()
    def _update_running_stats(self, mean: Tensor, unbiased_var: Tensor) -> None:
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased_var.to(self.running_var.dtype), self.momentum)

    def extra_repr(self) -> str:
        """Describe the layer for print(network)."""
        return f"{self.channels}, eps={self.eps}, momentum={self.momentum}"
