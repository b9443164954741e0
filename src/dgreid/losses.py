"""Metric-learning and classification losses, as the released MetaBIN computes them.

Each takes pooled features (N, d) from before the neck, not L2-normalised, and integer labels (N,), and
returns a scalar; the cross-entropy takes logits (N, C) instead of features. Distances are Euclidean,
d_ij = sqrt(max(|f_i|^2 + |f_j|^2 - 2 f_i.f_j, 1e-12)).
Everything is computed in float32 (float64 if given), also inside autocast: in half precision the
difference of squares would lose the small distances that hard mining needs.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dgreid.errors import UserError


def batch_hard_triplet(features: Tensor, identities: Tensor, margin: float = 0.3) -> Tensor:
    """Compute the triplet loss of each anchor's farthest positive and nearest negative (Hermans et al. 2017).

    mean_i max(0, max_{y_j = y_i} d_ij - min_{y_j != y_i} d_ij + margin), zeros included in the mean.

    Args:
        features: (N, d).
        identities: (N,) integers.
        margin: added to the difference, in units of the features. At 0 this stays a hinge; the release would
            switch to a soft margin, which no configuration uses.

    Raises:
        UserError: an anchor has no negative, because the batch holds one identity.
    """
    with _full_precision(features):
        distances = _distances(_precise(features))  # (N, N)
        same = identities[:, None] == identities  # (N, N), self included: harmless
        _require(~same, "batch_hard_triplet", "at least two identities")
        positive = distances.masked_fill(~same, -torch.inf).amax(1)  # (N,)
        negative = distances.masked_fill(same, torch.inf).amin(1)  # (N,)
        return F.relu(positive - negative + margin).mean()


def intra_domain_scatter(features: Tensor, domains: Tensor) -> Tensor:
    """Compute the mean cosine between samples and the centroid of their domain (MetaBIN, eq. 7).

    Features are first normalised to unit length, u_i; the centroid is the mean of a domain's u.
    mean_k mean_{i in k} cos(u_i, mean_{j in k} u_j): domains count equally, whatever their size
    (for equal sizes this is the paper's sum over samples). Minimising it spreads the features.

    Args:
        features: (N, d).
        domains: (N,) integers.
    """
    with _full_precision(features):
        features = _precise(features)
        unit = features / (features.norm(dim=1, keepdim=True) + 1e-12)  # (N, d)
        of = domains == domains.unique()[:, None]  # (K, N)
        share = of / of.sum(1, keepdim=True).to(unit.dtype)  # (K, N), rows sum to 1
        centroids = share @ unit  # (K, d)
        cosines = F.cosine_similarity(unit[None], centroids[:, None], dim=2)  # (K, N)
        return (share * cosines).sum(1).mean()


def inter_domain_shuffle(features: Tensor, identities: Tensor, domains: Tensor) -> Tensor:
    """Pull other domains close, push other identities of the same domain away (MetaBIN, eq. 8).

    mean_i softplus(max_{j = i or k_j != k_i} d_ij - min_{k_j = k_i, y_j != y_i} d_ij), k the domain: the
    farthest sample of any other domain, whatever its identity, and the nearest other identity of the same
    domain. No margin. The release switches to a hinge when its logistic overflows; softplus cannot overflow.

    Args:
        features: (N, d).
        identities: (N,) integers.
        domains: (N,) integers.

    Raises:
        UserError: a domain of the batch holds a single identity, so that there is no negative.
    """
    with _full_precision(features):
        distances = _distances(_precise(features))  # (N, N)
        home = domains[:, None] == domains  # (N, N)
        rival = home & (identities[:, None] != identities)
        _require(rival, "inter_domain_shuffle", "at least two identities of each domain")
        itself = torch.eye(len(distances), dtype=torch.bool, device=distances.device)
        far = distances.masked_fill(home & ~itself, -torch.inf).amax(1)  # (N,)
        near = distances.masked_fill(~rival, torch.inf).amin(1)  # (N,)
        return F.softplus(far - near).mean()


def smoothed_cross_entropy(logits: Tensor, identities: Tensor, epsilon: float = 0.1) -> Tensor:
    """Compute the cross-entropy with `epsilon` spread over the wrong classes only.

    The target is 1 - epsilon for the right class and epsilon / (C - 1) for each other one; this is
    torch's `label_smoothing` at epsilon * C / (C - 1). The sum over samples is divided by the number of
    samples whose loss is not zero (at least 1).

    Args:
        logits: (N, C).
        identities: (N,) class indices.
        epsilon: total probability of the wrong classes.

    Raises:
        UserError: there is a single class.
    """
    classes = logits.shape[1]
    if classes < 2:
        raise UserError("smoothed_cross_entropy: one class only; train on at least two identities.")
    log_probability = _precise(logits).log_softmax(1)  # (N, C)
    right = log_probability.gather(1, identities[:, None])[:, 0]  # (N,)
    wrong = log_probability.sum(1) - right
    loss = -(1 - epsilon) * right - epsilon / (classes - 1) * wrong
    return loss.sum() / (loss != 0).sum().clamp(min=1)


def _precise(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _full_precision(features: Tensor) -> torch.autocast:
    return torch.autocast(features.device.type, enabled=False)


def _distances(features: Tensor) -> Tensor:
    """Compute Euclidean distances (N, N); the floor keeps the square root differentiable at zero."""
    squares = features.square().sum(1)  # (N,)
    return (squares[:, None] + squares - 2 * features @ features.T).clamp(min=1e-12).sqrt()


def _require(negatives: Tensor, loss: str, need: str) -> None:
    """Refuse a batch in which a sample has no negative; `negatives` is a mask (N, N)."""
    lonely = ~negatives.any(1)
    if lonely.any():
        row = int(lonely.nonzero()[0])
        raise UserError(f"{loss}: sample {row} has no negative in the batch; put {need} into every batch.")
