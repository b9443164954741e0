"""Export a run's embedding network as one ONNX file, for use without this project or torch."""

import copy
import json
import logging
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dgreid.errors import UserError
from dgreid.files import sha256, whole
from dgreid.images.config import ImageConfig
from dgreid.images.normalise import MEAN, STD, normalise
from dgreid.inference import place
from dgreid.methods.base import Method
from dgreid.runs.run import find, restore
from dgreid.schema import reason

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
OPSET = 18
TOLERANCE = 1e-3  # of the largest number of an embedding: a larger difference is more than rounding


class ImageNetwork(nn.Module):
    """From pixels to embedding: normalisation is part of the network, so that nobody can get it wrong."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8, RGB -> (N, ...) float32."""
        return self.method.embed(normalise(images)).float()


def export(run: str, out: Path) -> Path:
    """Write a run's embedding network as ONNX, and check it against torch.

    The network's input `images` is uint8 (N, height, width, 3), RGB, for any N; images are resized with
    Pillow's bicubic filter, as in training. Its output `embeddings` is float32 (N, ...). The normalisation is
    part of the network.

    The file's metadata are run, model_sha256, height, width, channels, resize, mean and std (of the
    normalisation, for pixels from 0 to 1) and similarity: "cosine", or "method" if the method compares
    embeddings in another way.

    Raises:
        UserError: no such run, missing packages, a method that adapts to a target, a network that ONNX cannot
            express, or an exported network whose embeddings differ.
    """
    folder = find(run)
    if out.is_dir():
        raise UserError(f"{out} is a folder: give --out the name of an .onnx file in it.")
    place.check(out, lambda file: file.suffix == ".onnx")
    _require_packages()
    import onnx

    method, facts = restore(folder)
    if method.adapt:
        raise UserError(
            f"run {run} was evaluated by a method that adapts to each camera's images before it embeds them, "
            "which an ONNX file cannot do: export the run of a method that does not adapt."
        )
    image = ImageConfig.model_validate(facts["config"]["image"])
    network = ImageNetwork(method.float()).eval()  # ONNX runtimes lack convolutions in float64
    noise = np.random.default_rng(0).integers(0, 256, (3, image.height, image.width, 3), np.uint8)
    images = torch.from_numpy(noise)
    program = _program(network, images, run)
    model = program.model_proto
    cosine = type(method).similarity is Method.similarity
    onnx.helper.set_model_props(
        model,
        {
            "run": run,
            "model_sha256": sha256(folder / "model.safetensors"),
            "height": str(image.height),
            "width": str(image.width),
            "channels": "RGB",
            "resize": "bicubic (Pillow)",
            "mean": json.dumps(MEAN),
            "std": json.dumps(STD),
            "similarity": "cosine" if cosine else "method",
        },
    )
    with whole(out) as part:
        onnx.save(model, part)
        _check(part, network, images, run)
    return out


def _require_packages() -> None:
    for name in PACKAGES:
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(
                f"{name} is not installed: run `pip install -e '.[export]'` in the project's folder."
            ) from error


def _program(network: nn.Module, images: Tensor, run: str) -> "torch.onnx.ONNXProgram":
    """Translate the network to ONNX, for any number of images."""
    for package in ("onnxscript", "onnx_ir"):  # they log every pass over the graph
        logging.getLogger(package).setLevel(logging.WARNING)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about its own code
            return torch.onnx.export(
                network,
                (images,),
                input_names=["images"],
                output_names=["embeddings"],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        why = reason(error.__cause__ or error)
        raise UserError(f"run {run}: its network cannot be expressed in ONNX ({why}).") from error


def _check(path: Path, network: nn.Module, images: Tensor, run: str) -> None:
    """Compare the exported network with torch on noise, for one image and for several."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for some in (images[:1], images):
        with torch.no_grad():
            expected = network(some).numpy()
        (given,) = session.run(None, {"images": some.numpy()})
        error = _difference(given, expected)
        if not error < TOLERANCE:
            raise UserError(f"run {run}: {_refusal(error, _rounding(network, some, expected))}")


def _difference(given: np.ndarray, expected: np.ndarray) -> float:
    """Compute the largest difference, relative to the largest number."""
    return float(np.abs(given - expected).max() / np.abs(expected).max())


def _rounding(network: ImageNetwork, images: Tensor, expected: np.ndarray) -> float:
    """Compute how much the trained network's embeddings change in double precision: its rounding error."""
    exact = copy.deepcopy(network.method).double()
    with torch.no_grad():
        return _difference(expected, exact.embed(normalise(images).double()).numpy())


def _refusal(error: float, rounding: float) -> str:
    """Say why nothing was written: the network amplifies rounding errors, or its translation is wrong."""
    differs = f"nothing was written, because the exported network differs from the trained one by {error:.1%}"
    if not rounding < error / 10:
        return (
            f"{differs}, and the trained one by {rounding:.1%} between single and double precision: it "
            "amplifies rounding errors, as norms with tiny variances do; use `dgreid embed` instead."
        )
    return (
        f"{differs}, and rounding explains only {rounding:.1g}: its translation is wrong; try another "
        "version of torch or onnxruntime."
    )
