"""The only module that imports torchvision.

With a CPU-only torch, PyPI's torchvision cannot load its compiled operators, and its import fails with
"torchvision::nms does not exist". dgreid needs none of these operators: on exactly that error this module
declares their schemas and repeats the import. Calling `torchvision.ops.nms` then raises a RuntimeError.
"""

import sys

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms does not exist" not in str(error):
        raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "DEF")  # lives as long as this module
    for _schema in _SCHEMAS:
        _library.define(_schema)
    import torchvision

from torchvision import models  # noqa: E402
from torchvision.transforms import v2 as transforms  # noqa: E402

__all__ = ["models", "torchvision", "transforms"]
