"""Batch-instance norms: values of the released MetaBIN, the plain formula, gradients, modes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgreid.networks.norms import (
    BatchInstanceNorm2d,
    SharedBatchInstanceNorm2d,
    fused,
)
from helpers.norms import plain, random_layer


@pytest.mark.parametrize("kind", [BatchInstanceNorm2d, SharedBatchInstanceNorm2d])
@pytest.mark.parametrize("train", [True, False])
@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 5), st.integers(1, 6), st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 2**16),
    part=st.sampled_from([1, 7, fused.PART]),
    whole=st.booleans(),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_equals_the_plain_formula(kind, train, shape, seed, part, whole, layout):
    torch.manual_seed(seed)
    layer = random_layer(shape[1], kind=kind).train(train)
    x = (3 * torch.randn(shape, dtype=torch.float64) + 2).to(memory_format=layout).requires_grad_()
    weights = torch.randn(shape, dtype=torch.float64)
    inputs = [x, *layer.parameters()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "PART", part)
        if whole:  # as on a GPU
            patch.setattr(fused, "in_parts", lambda x: False)
        y = layer(x)
        gradients = torch.autograd.grad((y * weights).sum(), inputs)
    expected = plain(layer, x, train)
    torch.testing.assert_close(y, expected, atol=1e-12, rtol=1e-12)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), inputs)
    for got, want in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(got, want, atol=1e-11, rtol=1e-10)


def test_wrong_inputs():
    layer = BatchInstanceNorm2d(3)
    with pytest.raises(ValueError, match="3, H, W"):
        layer(torch.randn(2, 4, 5, 5))
    with pytest.raises(ValueError, match="more than one value"):
        layer(torch.randn(1, 3, 1, 1))
    assert layer.eval()(torch.randn(1, 3, 1, 1)).shape == (1, 3, 1, 1)
