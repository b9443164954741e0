"""Losses against values obtained from the released MetaBIN (float64) and against their definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.losses import (
    batch_hard_triplet,
    inter_domain_shuffle,
    intra_domain_scatter,
    smoothed_cross_entropy,
)

I = torch.arange(12, dtype=torch.float64)[:, None]  # noqa: E741
J = torch.arange(8, dtype=torch.float64)
FEATURES = torch.sin(0.7 * I * (J + 1) + J)  # (12, 8)
LOGITS = torch.cos(0.3 * I * (J[:6] + 2))  # (12, 6)
IDENTITIES = torch.arange(12) // 2
DOMAINS = torch.arange(12) // 4


@pytest.mark.parametrize(
    ("loss", "labels", "value"),
    [
        (batch_hard_triplet, (IDENTITIES,), 2.2863724579),
        (inter_domain_shuffle, (IDENTITIES, DOMAINS), 0.9110959538),
        (intra_domain_scatter, (DOMAINS,), 0.3078881697),
    ],
)
def test_released_values(loss, labels, value):
    assert loss(FEATURES, *labels).item() == pytest.approx(value, abs=1e-9)


def test_released_cross_entropy():
    assert smoothed_cross_entropy(LOGITS, IDENTITIES).item() == pytest.approx(2.1639878124, abs=1e-9)
    torch_epsilon = 0.1 * 6 / 5
    expected = F.cross_entropy(LOGITS, IDENTITIES, label_smoothing=torch_epsilon)
    assert smoothed_cross_entropy(LOGITS, IDENTITIES).item() == pytest.approx(expected.item(), abs=1e-12)


def test_cross_entropy_averages_over_samples_with_a_loss():
    logits = torch.tensor([[1e4, 0.0], [0.0, 0.0]])  # the first sample is certain: its loss is zero
    loss = smoothed_cross_entropy(logits, torch.tensor([0, 0]), epsilon=0.0)
    assert loss.item() == pytest.approx(torch.log(torch.tensor(2.0)).item())
    assert smoothed_cross_entropy(logits[:1], torch.tensor([0]), epsilon=0.0).item() == 0


def test_gradients():
    features = FEATURES.clone().requires_grad_()
    torch.autograd.gradcheck(lambda x: batch_hard_triplet(x, IDENTITIES), features)
    torch.autograd.gradcheck(lambda x: inter_domain_shuffle(x, IDENTITIES, DOMAINS), features)
    torch.autograd.gradcheck(lambda x: intra_domain_scatter(x, DOMAINS), features)
    torch.autograd.gradcheck(lambda x: smoothed_cross_entropy(x, IDENTITIES), LOGITS.clone().requires_grad_())


def test_equal_features_have_finite_gradients():
    features = torch.ones(12, 8, requires_grad=True)
    loss = batch_hard_triplet(features, IDENTITIES) + inter_domain_shuffle(features, IDENTITIES, DOMAINS)
    (gradient,) = torch.autograd.grad(loss + intra_domain_scatter(features, DOMAINS), features)
    assert gradient.isfinite().all()


def test_an_empty_negative_set_is_a_user_error():
    with pytest.raises(UserError, match="batch_hard_triplet: sample 0 has no negative"):
        batch_hard_triplet(FEATURES, torch.zeros(12, dtype=torch.long))
    lonely = torch.tensor([0] * 4 + [1, 1, 2, 2] + [3, 3, 4, 4])
    with pytest.raises(UserError, match="two identities of each domain"):
        inter_domain_shuffle(FEATURES, lonely, DOMAINS)
    with pytest.raises(UserError, match="one class"):
        smoothed_cross_entropy(LOGITS[:, :1], torch.zeros(12, dtype=torch.long))


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_samples_does_not_matter(order):
    order = list(order)
    for loss, labels in (
        (batch_hard_triplet, (IDENTITIES,)),
        (inter_domain_shuffle, (IDENTITIES, DOMAINS)),
        (intra_domain_scatter, (DOMAINS,)),
    ):
        shuffled = loss(FEATURES[order], *(label[order] for label in labels))
        assert shuffled.item() == pytest.approx(loss(FEATURES, *labels).item(), abs=1e-12)


def test_scatter_weights_domains_equally():
    domains = torch.tensor([0] * 10 + [1] * 2)
    parts = [intra_domain_scatter(FEATURES[domains == k], domains[domains == k]) for k in (0, 1)]
    assert intra_domain_scatter(FEATURES, domains).item() == pytest.approx((sum(parts) / 2).item(), abs=1e-12)


def test_autocast_computes_in_float32():
    features = FEATURES.float()
    weight = torch.eye(8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = F.linear(features, weight)
        assert mixed.dtype == torch.bfloat16
        loss = batch_hard_triplet(mixed, IDENTITIES)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(batch_hard_triplet(mixed.double(), IDENTITIES).item(), abs=1e-5)
