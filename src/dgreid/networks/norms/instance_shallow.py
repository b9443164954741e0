"""Instance normalisation in the stem and the shallow stages only; deeper batch norms stay."""

from dgreid.networks.norms.instance import InstanceNorm2d

LAYER = InstanceNorm2d
SHALLOW = True
