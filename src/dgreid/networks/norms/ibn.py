"""IBN-Net's norm (Pan et al., ECCV 2018), and how IBN networks load weight files."""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dgreid.errors import UserError
from dgreid.networks.backbone import COUNTER, rename
from dgreid.networks.norms.convert import copy_channels
from dgreid.networks.norms.instance import InstanceNorm2d

log = logging.getLogger(__name__)

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


class IBN(nn.Module):
    """Normalises the first half of the channels by IN, the second half by BN.

    Raises:
        UserError: the number of channels is odd, which the original cannot split either.
    """

    def __init__(self, channels: int):
        super().__init__()
        if channels % 2:
            raise UserError(f"IBN: {channels} channels cannot be halved; choose a network of even widths.")
        self.split = channels // 2
        self.instance = InstanceNorm2d(self.split)
        self.batch = nn.BatchNorm2d(self.split)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) -> (N, C, H, W)."""
        return torch.cat([self.instance(x[:, : self.split]), self.batch(x[:, self.split :])], 1)

    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """Take over a batch norm: both halves its affine map, the batch half also its running statistics."""
        copy_channels(norm, slice(0, self.split), self.instance)
        copy_channels(norm, slice(self.split, None), self.batch)


def adapt_weights(network: nn.Module, state: Mapping[str, Tensor], how: str) -> dict[str, Tensor]:
    """Rename IBN-Net's tensors, and split plain batch norms into IBN and instance norms.

    Norms of variant b that a plain ResNet does not have stay at weight 1, bias 0.

    Args:
        network: a network with IBN or instance norms.
        state: tensors by name, of a plain ResNet, of IBN-Net's release, or ours.
        how: `sliced`: norms take the affine map of their channels, and batch halves the running statistics;
            `fresh`: they take nothing.
    """
    state, plain, added = rename(state, _ibn_net_table(network)), 0, 0
    for name, norm in network.named_modules():
        if not isinstance(norm, (IBN, InstanceNorm2d)):
            continue
        if all(f"{name}.{tensor}" in state for tensor in NORM_TENSORS):
            old = {tensor: state.pop(f"{name}.{tensor}") for tensor in NORM_TENSORS}
            new = norm.state_dict() if how == "fresh" else _sliced(norm, old)
            state |= {f"{name}.{tensor}": value for tensor, value in new.items() if COUNTER not in tensor}
            plain += 1
        elif name.endswith("output_norm") and f"{name}.weight" not in state:
            state |= {f"{name}.{tensor}": value for tensor, value in norm.state_dict().items()}
            added += 1
    if plain or added:
        log.info("%d plain batch norms became IBN norms (%s); %d new norms start afresh", plain, how, added)
    return state


def _sliced(norm: nn.Module, plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the tensors that an IBN or instance norm takes from a plain batch norm of its width."""
    if not isinstance(norm, IBN):
        return {"weight": plain["weight"], "bias": plain["bias"]}
    instance = {f"instance.{tensor}": plain[tensor][: norm.split] for tensor in ("weight", "bias")}
    return instance | {f"batch.{tensor}": value[norm.split :] for tensor, value in plain.items()}


def _ibn_net_table(network: nn.Module) -> dict[str, str]:
    """Map IBN-Net's module names to ours; its other names are torchvision's, which we share."""
    table = {}
    for name, norm in network.named_modules():
        if isinstance(norm, IBN):
            table |= {f"{name}.IN": f"{name}.instance", f"{name}.BN": f"{name}.batch"}
        elif isinstance(norm, InstanceNorm2d) and name.endswith("output_norm"):
            table[f"{name.removesuffix('output_norm')}IN"] = name
    return table
