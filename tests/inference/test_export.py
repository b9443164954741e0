import copy
import itertools
import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from dgreid.errors import UserError
from dgreid.files import sha256
from dgreid.images.normalise import normalise
from dgreid.inference import export as module
from dgreid.inference.export import ImageNetwork, export
from dgreid.methods.erm import ERM
from dgreid.networks.norms import convert, convert_norms
from dgreid.paths import RUNS
from helpers import tiny, trained_run

onnx = pytest.importorskip("onnx", reason="the extra dgreid[export] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra dgreid[export] is not installed")
pytest.importorskip("onnxscript", reason="the extra dgreid[export] is not installed")

ASKED = ("batch", "instance", "half", "switchable", "bin")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # half of an export's time goes into noting where each operation was called
    monkeypatch.setattr(torch.fx.config, "do_not_emit_stack_traces", True, raising=False)
    return tmp_path


def given(path, images: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images.numpy()})[0]


def noise(count: int, height: int = tiny.HEIGHT, width: int = tiny.WIDTH) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, height, width, 3), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("norm", ["batch", "bin"])  # the others: in the MobileNet below
def test_onnxruntime_agrees_with_torch(project, norm):
    method = trained_run.make("mine", tiny.config("erm", changes={"norm": norm}))
    path = export("mine", project / "model.onnx")
    for count in (1, 2, 5):
        images = noise(count)
        with torch.no_grad():
            expected = ImageNetwork(method)(images).numpy()
        assert expected.shape == (count, 128) and np.abs(expected).max() > 0.1
        assert np.abs(given(path, images) - expected).max() < 1e-4


def test_every_norm_in_a_mobilenet(project, monkeypatch):
    """One network whose layers take turns, so that each norm stands behind every kind of convolution.

    At 128x64, so that the last maps are 8x4: instance norms of one or two numbers amplify rounding at will.
    """
    turn = itertools.cycle(
        [nn.BatchNorm2d if norm == "batch" else convert.module(norm).LAYER for norm in ASKED]
    )
    config = tiny.config("erm", backbone="mobilenet_v2_x0_25")
    size = config.image.model_copy(update={"height": 128, "width": 64})
    trained_run.make("mine", config.model_copy(update={"image": size}))
    method, facts = module.restore(RUNS / "mine")
    convert_norms(method.network.backbone, lambda channels: next(turn)(channels))
    method.train()
    with torch.no_grad():
        method.embed(torch.randn(8, 3, 128, 64) * 2 + 0.3)
    network = ImageNetwork(method.eval())
    monkeypatch.setattr(module, "restore", lambda folder: (method, facts))
    path = export("mine", project / "model.onnx")
    for count in (1, 4):
        with torch.no_grad():
            expected = network(noise(count, 128, 64)).numpy()
        assert np.abs(given(path, noise(count, 128, 64)) - expected).max() < 1e-4


def test_the_file_says_what_it_is_and_stands_alone(project):
    trained_run.make("mine", tiny.config("erm"))
    path = export("mine", project / "deep/model.onnx")
    model = onnx.load(path)
    onnx.checker.check_model(model)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["run"] == "mine" and facts["model_sha256"] == sha256("data/runs/mine/model.safetensors")
    assert (facts["height"], facts["width"], facts["channels"]) == ("32", "16", "RGB")
    assert json.loads(facts["mean"]) == [0.485, 0.456, 0.406] and facts["similarity"] == "cosine"
    (images,), (embeddings,) = model.graph.input, model.graph.output
    assert images.name == "images" and images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sizes = [axis.dim_param or axis.dim_value for axis in images.type.tensor_type.shape.dim]
    assert sizes[1:] == [32, 16, 3] and isinstance(sizes[0], str)  # any number of images
    assert embeddings.name == "embeddings"
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    assert not any("classifier" in tensor.name for tensor in model.graph.initializer)


def test_maps_and_a_similarity_of_ones_own_are_exported_and_said(project, monkeypatch):
    monkeypatch.setattr(ERM, "embed", lambda self, images: self.network.backbone(images))
    monkeypatch.setattr(ERM, "similarity", lambda self, query, gallery: query @ gallery.T)
    method = trained_run.make("mine", tiny.config("erm"))
    path = export("mine", project / "model.onnx")
    with torch.no_grad():
        expected = ImageNetwork(method)(noise(2)).numpy()
    assert expected.shape == (2, 128, 4, 2)
    assert np.abs(given(path, noise(2)) - expected).max() < 1e-4
    facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert facts["similarity"] == "method"


def test_a_network_that_computes_otherwise_is_not_written(project, monkeypatch):
    trained_run.make("mine", tiny.config("erm"))
    original = torch.onnx.export

    def another(network, *arguments, **options):
        changed = copy.deepcopy(network)
        with torch.no_grad():
            changed.method.network.neck.weight[0] *= 1.5
        return original(changed, *arguments, **options)

    monkeypatch.setattr(torch.onnx, "export", another)
    with pytest.raises(UserError, match=r"differs from the trained one by \d.* its translation is wrong"):
        export("mine", project / "model.onnx")
    assert not (project / "model.onnx").exists()


def test_a_network_that_amplifies_rounding_is_told_from_a_wrong_translation(project, monkeypatch):
    original = ERM.embed
    monkeypatch.setattr(ERM, "embed", lambda self, images: torch.sin(1e6 * original(self, images)))
    trained_run.make("mine", tiny.config("erm"))
    with pytest.raises(
        UserError, match=r"between single and double precision: it amplifies rounding"
    ) as said:
        export("mine", project / "model.onnx")
    assert "version" not in str(said.value) and not (project / "model.onnx").exists()


def test_errors_are_sentences(project, monkeypatch):
    trained_run.make("mine", tiny.config("erm"))
    with pytest.raises(UserError, match="did you mean 'mine'"):
        export("mein", project / "model.onnx")
    with pytest.raises(UserError, match="is a folder"):
        export("mine", project)
    with monkeypatch.context() as patched:
        patched.setattr(ERM, "adapt", lambda self, images: None)
        with pytest.raises(UserError, match="which an ONNX file cannot do: export the run"):
            export("mine", project / "model.onnx")
    by_content = lambda self, images: images[:, :, 0, 0] if images.sum() > 0 else images[:, :, 0, 1]  # noqa: E731
    monkeypatch.setattr(ERM, "embed", by_content)
    with pytest.raises(UserError, match="cannot be expressed in ONNX"):
        export("mine", project / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"onnxruntime is not installed: .*-e '\.\[export\]'"):
        export("mine", project / "model.onnx")


def test_a_run_in_float64_is_exported_in_float32(project):
    method = trained_run.make("double", tiny.config("erm", precision="float64"))
    images = noise(3)
    with torch.no_grad():
        expected = method.embed(normalise(images, torch.float64)).numpy()
    found = given(export("double", project / "model.onnx"), images)
    assert found.dtype == np.float32 and np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
