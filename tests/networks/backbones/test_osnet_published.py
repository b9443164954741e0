"""The trained network that torchreid published gives the same features here."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from dgreid.networks import backbones
from dgreid.networks.backbones import build

SMALLEST = backbones.read(dict(name="osnet_x0_25", architecture="osnet", width=0.25))


MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def unfolded(model) -> dict[str, torch.Tensor]:
    """Tensors of an exported OSNet by torchreid's names; norms folded into convolutions become affine maps.

    A convolution's scope, such as /conv2/conv2.0/conv2a/conv2, is its module: conv2.0.conv2a.conv2.
    """
    import onnx

    values = {each.name: torch.tensor(onnx.numpy_helper.to_array(each)) for each in model.graph.initializer}
    state = {name: value for name, value in values.items() if not name.startswith("onnx::")}
    for node in (node for node in model.graph.node if node.op_type == "Conv"):
        weight, *bias = node.input[1:]
        if not weight.startswith("onnx::"):
            continue  # a gate's, or the first of a light convolution's
        scope = node.name.split("/")[1:-1]
        path = [
            part
            for part, after in zip(scope, [*scope[1:], ""], strict=True)
            if not after.startswith(f"{part}.")
        ]
        parent, last = path[:-1], path[-1]
        norm = ".".join([*parent, "bn"])
        state[".".join([*parent, last, "weight"])] = values[weight]
        ones = torch.ones(len(values[weight]))
        state[f"{norm}.weight"], state[f"{norm}.bias"] = ones, values[bias[0]]
        state[f"{norm}.running_mean"] = torch.zeros_like(ones)
        state[f"{norm}.running_var"] = ones - 1e-5  # with the norm's epsilon: 1
    return state


@pytest.fixture(scope="module")
def published(shared, tmp_path_factory):
    """OSNet x0.25 trained on MSMT17 as torchreid published it: ours, and onnxruntime's session."""
    onnx = pytest.importorskip("onnx", reason="the extra dgreid[export] is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra dgreid[export] is not installed")
    path = shared / "weights" / "osnet_x0_25_msmt17.onnx"
    if not path.exists():
        pytest.skip("no published OSNet here")
    file = tmp_path_factory.mktemp("weights") / "osnet_x0_25_msmt17.pth"
    torch.save(unfolded(onnx.load(path)), file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return build(SMALLEST, str(file)).eval(), session


def agree(published, images):
    network, session = published
    (expected,) = session.run(None, {"input": images})
    with torch.no_grad():
        got = network.pool(network(torch.from_numpy(images))).numpy()
    assert expected.shape == (len(images), 512)
    size = np.linalg.norm(expected, axis=1, keepdims=True)
    assert size.min() > 0.1
    assert (np.linalg.norm(got - expected, axis=1, keepdims=True) / size).max() < 1e-4
    assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_published_network_on_random_images(published):
    agree(published, np.random.default_rng(0).standard_normal((6, 3, 256, 128), dtype=np.float32))


@pytest.mark.parametrize("archive", ["QMUL-iLIDS.zip", "CAVIAR4REID.zip", "underground_reid.zip"])
def test_the_published_network_on_real_crops(published, shared, archive):
    path = shared / "datasets" / archive
    if not path.exists():
        pytest.skip(f"no {archive} here")
    agree(published, crops(path, 8))


def crops(path, count):
    """Some pictures of an archive, resized and normalised: (count, 3, 256, 128)."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png")))
        chosen = names[:: max(1, len(names) // count)][:count]
        pictures = [
            Image.open(io.BytesIO(archive.read(name))).convert("RGB").resize((128, 256)) for name in chosen
        ]
    pixels = (np.stack(pictures) / 255 - MEAN) / STD
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
