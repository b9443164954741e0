import pytest
import torch
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.networks.norms import (
    IBN,
)


def test_ibn_is_instance_norm_first_and_wants_even_widths():
    torch.manual_seed(0)
    x = torch.randn(4, 6, 5, 3)
    expected = torch.cat([F.instance_norm(x[:, :3]), F.batch_norm(x[:, 3:], None, None, training=True)], 1)
    torch.testing.assert_close(IBN(6)(x), expected)
    with pytest.raises(UserError, match="33 channels cannot be halved"):
        IBN(33)
