"""MetaBN: a batch norm that can also mix the styles of other domains into a batch (M3L, section 3.4).

Unlike the other norms it works on pooled features, (N, C). It keeps no state between calls: `style_of`
measures a domain's style, `draw` samples from it, and `MetaBatchNorm1d.mixed` mixes the samples in.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Style(NamedTuple):
    """The statistics of one domain's batch before the last norm."""

    mean: Tensor  # (C,)
    var: Tensor  # (C,), population variance


def style_of(features: Tensor) -> Style:
    """Compute mean and population variance of pooled features, (N, C) -> (C,) each, without gradients."""
    features = features.detach()
    return Style(features.mean(0), features.var(0, correction=0))


def draw(style: Style, count: int, std: Literal["variance", "deviation"], eps: float = 1e-5) -> Tensor:
    """Sample features from a Gaussian with the style's moments, by torch's global generator (M3L, eq. 5).

    z_j ~ N(mean, std), independently for each of the (count, C) entries. The paper calls sigma a variance and
    writes N(mu, sigma); the released code uses the variance itself as the standard deviation. With
    `variance`, a channel of variance 0 gives its mean.

    Args:
        style: the style of a meta-train domain.
        count: number of rows, B.
        std: `variance`, as released; `deviation`, sqrt(var + eps).
        eps: added under the square root.
    """
    spread = style.var if std == "variance" else (style.var + eps).sqrt()
    return torch.randn(count, len(spread), dtype=spread.dtype, device=spread.device) * spread + style.mean


class MetaBatchNorm1d(nn.BatchNorm1d):
    """Batch norm on pooled features, (N, C) -> (N, C); a plain call is `BatchNorm1d`'s."""

    def mixed(self, features: Tensor, draws: Sequence[Tensor], share: float) -> list[Tensor]:
        """Mix the features with each of `draws`, then normalise (M3L, eq. 6 and 7).

        m_i = share z_i + (1 - share) x, normalised by m_i's own batch statistics, through which the gradient
        flows, then the affine map. Running statistics do not change; `num_batches_tracked`, which nothing
        reads, still counts the call (as released).

        Args:
            features: x, (N, C).
            draws: z_i, (N, C) for each style.
            share: share of the sample, in [0, 1]; one number for all.

        Returns:
            One tensor (N, C) for each of `draws`.
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
