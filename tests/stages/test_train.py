import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from dgreid import protocols, trouble
from dgreid.datasets.manifest import IMAGES
from dgreid.errors import UserError
from dgreid.files import sha256
from dgreid.images import pack
from dgreid.methods.base import Task
from dgreid.methods.erm import ERM
from dgreid.runs.run import build, restore
from dgreid.stages.train import check_finite, train
from helpers import tables, tiny

KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from helpers import tiny
from pathlib import Path
from dgreid.images import pack
from dgreid.methods.erm import ERM
from dgreid.stages.train import train
pack.images_root = lambda name: Path("pictures")
train(tiny.config(sys.argv[2], **eval(sys.argv[3])))
"""


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A working folder with pictures, their manifest and a protocol that trains on them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pack, "images_root", lambda name: Path("pictures"))
    frame, packs = tiny.crowd()
    Path("pictures").mkdir()
    paths = [f"{row:03d}.png" for row in range(len(frame))]
    for path, pixels in zip(paths, packs["crowd"].images, strict=True):
        Image.fromarray(pixels).save(Path("pictures") / path)
    digests = [hashlib.sha256(pixels.tobytes()).digest() for pixels in packs["crowd"].images]
    known = pd.DataFrame({"path": paths, "pixel_sha256": digests})
    tables.write(Path("data/manifests/crowd/images.parquet"), known, IMAGES)
    frame = frame.assign(image_id=paths, path=paths, camera=0, pixel_sha256=digests)
    domains = [f"d{number}" for number in range(4)]
    metadata = {"name": "tiny", "kind": "miniature", "domains": domains, "targets": {}, "counts": {}}
    metadata |= {"kinds": {"crowd": "miniature"}, "content": {"crowd": "0"}, "choices": {}}
    protocol = protocols.Protocol("tiny", "miniature", frame, {}, domains, metadata)
    protocols.write(Path("data/protocols/tiny"), protocol)
    return tmp_path


def hashes(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in ("model.safetensors", "run.yaml", "history.csv")}


def test_a_run_is_complete_and_says_what_it_was(world):
    run = tiny.config("metabin")
    folder = train(run)
    assert folder == Path("data/runs/metabin-resnet_tiny-tiny-s0")
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "run.yaml",
        "history.csv",
        "cost.json",
    }
    facts = yaml.safe_load((folder / "run.yaml").read_text())
    counts = {"classes": 16, "domains": 4, "iterations": 4, "iterations_per_epoch": 2, "images": 48}
    identities = ["0-3", "4-7", "8-11", "12-15"]
    names = ["d0", "d1", "d2", "d3"]
    assert facts["training"] == {**counts, "domain_names": names, "membership": identities}
    assert facts["data"]["kind"] == "miniature" and facts["data"]["domains"] == ["d0", "d1", "d2", "d3"]
    assert facts["data"]["sha256"] == sha256("data/protocols/tiny/train.parquet")
    assert facts["config"]["method"]["inner_step"] == "relative"
    assert facts["versions"]["torch"] == torch.__version__
    history = pd.read_csv(folder / "history.csv")
    assert list(history["iteration"]) == [1, 2, 3, 4]
    assert {"learning_rate", "cross_entropy", "triplet", "meta_train", "meta_test"} <= set(history.columns)
    assert history.columns[-1] == "cross_entropy"  # what `dvc plots` draws
    cost = json.loads((folder / "cost.json").read_text())
    assert cost["images"] == (10 + 3 + 4) * 16  # base batches, ten at first, and a meta batch each
    assert cost["images_per_second"] > 0 and cost["peak_memory_bytes"] > 1e7 and cost["parameters"] > 1e5
    assert cost["commit"] is None and cost["date"].endswith("Z")  # the test's folder is no checkout
    assert not Path("data/checkpoints", run.run, "last.pt").exists()


def test_a_restored_method_is_the_trained_one(world):
    run = tiny.config("metabin")
    folder = train(run)
    method, facts = restore(folder)
    assert not method.training and facts["run"] == run.run
    gates = method.state_dict()["network.backbone.bn1.balance"]
    assert (gates != 1).any()  # not a fresh network
    again, _ = restore(folder)
    images = torch.randn(2, 3, 32, 16)
    with torch.no_grad():
        assert torch.equal(method.embed(images), again.embed(images))


def test_the_same_seed_gives_the_same_bits_and_another_one_others(world):
    first = hashes(train(tiny.config("erm")))
    assert hashes(train(tiny.config("erm"))) == first
    assert hashes(train(tiny.config("erm", seed=1)))["model.safetensors"] != first["model.safetensors"]


@pytest.mark.parametrize("method", ["metabin", "m3l", "qaconv"])
def test_a_run_in_float64_is_so_from_its_first_weights_to_its_file(world, method):
    steps = []
    run = tiny.config(method, precision="float64")
    module = type(build(run.method, run.backbone, run.recipe, Task(16, 4, 4, 2, torch.ones(4, 16), (32, 16))))
    with pytest.MonkeyPatch.context() as patch:
        step = module.step
        patch.setattr(
            module,
            "step",
            lambda self, batches, iteration: (
                steps.append((torch.get_default_dtype(), batches["base"][0].images.dtype))
                or step(self, batches, iteration)
            ),
        )
        folder = train(run)
    restored, _ = restore(folder)
    numbers = [value for value in restored.state_dict().values() if value.is_floating_point()]
    assert {value.dtype for value in numbers} == {torch.float64} and restored.dtype == torch.float64
    assert any((value != value.float().double()).any() for value in numbers)  # not rounded on its way
    assert set(steps) == {(torch.float64, torch.float64)} and torch.get_default_dtype() == torch.float32


def test_initial_weights_in_float64_are_more_than_float32(world):
    run = tiny.config("erm", precision="float64")
    torch.manual_seed(0)
    weight = build(run.method, run.backbone, run.recipe, Task(16, 4, 4, 2)).network.backbone.conv1.weight
    assert weight.dtype == torch.float64 and (weight != weight.float().double()).all()


def test_killed_and_resumed_equals_uninterrupted(world):
    """The process itself; that each method's state is whole, tests/methods/test_all.py tests."""
    name = "metabin"
    recipe = {"epochs": 15, "iterations_per_epoch": 3, "checkpoint_every": 7}
    run = tiny.config(name, **recipe)
    expected = hashes(train(run))
    folder = Path("data/runs") / run.run
    folder.rename("uninterrupted")

    checkpoint = Path("data/checkpoints") / run.run / "last.pt"
    words = [sys.executable, "-c", KILLED, str(Path(tiny.__file__).parents[1]), name, repr(recipe)]
    process = subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.time() + 60
    while not checkpoint.exists() and time.time() < deadline and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it was still at work
    assert checkpoint.exists() and not folder.exists()
    started = torch.load(checkpoint, weights_only=True)["progress"]["iteration"]
    assert 0 < started < 45

    assert hashes(train(run)) == expected
    assert (
        json.loads((folder / "cost.json").read_text())["images"]
        == json.loads(Path("uninterrupted/cost.json").read_text())["images"]
    )


def test_a_loss_that_is_not_finite_ends_in_a_sentence_and_writes_nothing(world):
    run = tiny.config("erm", learning_rate_factor=1e6, epochs=5)
    with pytest.raises(UserError, match=r"became (nan|inf) by iteration .*learning_rate"):
        train(run)
    assert not Path("data/runs").exists() or not list(Path("data/runs").iterdir())


def test_missing_protocol_names_the_command(world):
    Path("data/protocols/tiny/train.parquet").unlink()
    with pytest.raises(UserError, match="dgreid protocol protocol=tiny"):
        train(tiny.config("erm"))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_network_that_the_last_update_broke_is_not_saved(value):
    state = {"steps": torch.tensor(3), "good": torch.zeros(2), "bad": torch.tensor([0.0, value])}
    with pytest.raises(UserError, match=r"mine: after training bad is not finite; lower recipe\.learning"):
        check_finite(state, "mine")
    check_finite({"good": torch.zeros(2), "steps": torch.tensor(3)}, "mine")


def test_every_file_of_a_run_has_the_mode_that_the_umask_gives(world):
    before = os.umask(0o027)
    try:
        folder = train(tiny.config("erm"))
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o640"}
    assert folder.stat().st_mode & 0o777 == 0o750


def test_a_method_that_could_not_be_stored_is_refused_before_the_training(world, monkeypatch):
    monkeypatch.setattr(ERM, "embed", lambda self, images: images.mean((1, 2, 3)))
    monkeypatch.setattr(ERM, "step", lambda self, *_: pytest.fail("it has begun to train"))
    with pytest.raises(UserError, match="embeds a batch, not image by image"):
        train(tiny.config("erm"))


def test_a_full_disk_while_the_model_is_saved_leaves_no_run_and_names_it(world):
    run = tiny.config("erm")
    size = train(run).joinpath("model.safetensors").stat().st_size
    shutil.rmtree("data/runs")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            train(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert trouble.sentence(raised.value).startswith(f"data/runs/{run.run}: File too large; ")
    assert list(Path("data/runs").iterdir()) == []
