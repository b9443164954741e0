"""MetaBN: a batch norm that also shows a batch in the styles of other domains (M3L, section 3.4).

Unlike its siblings it works on pooled features, (N, C). It remembers nothing: what a domain looks like
(`style_of`), what is drawn from that (`draw`) and the mixing (`MetaBatchNorm1d.mixed`) are three functions.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Style(NamedTuple):
    """What a batch of one domain looks like to the last norm."""

    mean: Tensor  # (C,)
    var: Tensor  # (C,), of the population


def style_of(features: Tensor) -> Style:
    """Mean and population variance of pooled features (N, C) -> (C,) each, constants for autograd."""
    features = features.detach()
    return Style(features.mean(0), features.var(0, correction=0))


def draw(style: Style, count: int, std: Literal["variance", "deviation"], eps: float = 1e-5) -> Tensor:
    """Features of a Gaussian with the style's moments, from torch's global generator (M3L, eq. 5).

    z_j ~ N(mean, std), each of the (count, C) entries on its own. The paper calls sigma a variance and writes
    N(mu, sigma); the released code takes the variance itself for the standard deviation. A channel without
    variance gives its mean.

    Args:
        style: of a meta-train domain.
        count: rows wanted, B.
        std: `variance`, as released; `deviation`, sqrt(var + eps).
        eps: of the square root.
    """
    spread = style.var if std == "variance" else (style.var + eps).sqrt()
    return torch.randn(count, len(spread), dtype=spread.dtype, device=spread.device) * spread + style.mean


class MetaBatchNorm1d(nn.BatchNorm1d):
    """Batch norm on pooled features, (N, C) -> (N, C); called plainly it is `BatchNorm1d`."""

    def mixed(self, features: Tensor, draws: Sequence[Tensor], share: float) -> list[Tensor]:
        """The features mixed with each of `draws`, then normalised (M3L, eq. 6 and 7).

        m_i = share z_i + (1 - share) x, normalised by m_i's own batch statistics, through which the gradient
        flows, then the affine map. Running statistics stay as they are; `num_batches_tracked`, which nothing
        reads, counts the call all the same (as released).

        Args:
            features: x, (N, C).
            draws: z_i, (N, C) for each style.
            share: of the draw, in [0, 1]; one number for all.

        Returns:
            As many tensors (N, C) as there are draws.
        """
        self.num_batches_tracked.add_(1)
        return [
            F.batch_norm(
                share * z + (1 - share) * features,
                None,
                None,
                self.weight,
                self.bias,
                training=True,
                eps=self.eps,
            )
            for z in draws
        ]
