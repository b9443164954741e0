"""The runs that `studies.story` compares on the miniature benchmark; missing ones are trained."""

import tempfile
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from dgreid.device import prepare
from dgreid.evaluation.runner import run_protocol
from dgreid.evaluation.scores import summarise
from dgreid.files import sha256, whole
from dgreid.images.loader import TrainingImages, batches, survey
from dgreid.images.pack import Pack
from dgreid.methods.base import Method, Task
from dgreid.networks.norms.gates import gates_of
from dgreid.paths import PROTOCOLS, RUNS, WEIGHTS
from dgreid.protocols import Protocol, read_protocol, read_training
from dgreid.runs.config import RunConfig, load_run
from dgreid.runs.run import build, restore
from dgreid.runs.training import task_of, training_images
from dgreid.stages.train import train
from dgreid.training.checkpoint import Checkpoint
from dgreid.training.loop import fit

SEEDS = (0, 1, 2)
CPU = torch.device("cpu")
FASTER = "method.gate_learning_rate=1.0"
UNTRAINED = "erm_m3l, untrained"
HELD_GATES = "bin, gates held at .5"
LONGER = "recipe.iterations_per_epoch=6"  # the schedule is stretched with it
OWN_RATE = "m3l, own rate"  # the recipe's is the best for m3l_baseline
M3L = ["recipe=miniature_m3l"]  # M3L's own batches, 16 identities of each domain
OWN = ["m3l", *M3L, "method.learning_rate=7e-5"]
# MetaBIN's batches, which the story's M3L had first, at the rate that fitted these best
FOUR = [*M3L, "recipe.identities_per_domain=4", "recipe.learning_rate_factor=4"]
ALONE = "method.identification=none"  # the triplet loss alone
# name in the results -> method and further words of the run
VARIANTS = {
    "erm_pooled": ["erm_pooled"],
    "erm_in": ["erm_in"],
    "bin": ["bin"],
    "metabin": ["metabin"],
    "erm_m3l": ["erm_m3l", *M3L],
    "m3l_baseline": ["m3l_baseline", *M3L],
    "m3l": ["m3l", *M3L],
    OWN_RATE: OWN,
    # from here on trained by this study
    "m3l_baseline, M3L's own rate": ["m3l_baseline", *OWN[1:]],
    f"{OWN_RATE}, no MetaBN": [*OWN, "method.meta_bn=false"],
    f"{OWN_RATE}, full MAML": [*OWN, "method.meta_grad=maml"],
    f"{OWN_RATE}, first order": [*OWN, "method.meta_grad=first_order"],
    "erm_bin": ["erm_bin"],
    HELD_GATES: ["bin", "method.gate_learning_rate=1e-30"],
    "erm_pooled, 600 iterations": ["erm_pooled", LONGER],
    "bin, 600 iterations": ["bin", LONGER],
    "metabin, 600 iterations": ["metabin", LONGER],
    "erm_bin, gates x10": ["erm_bin", FASTER],
    "metabin, gates x10": ["metabin", FASTER],
    UNTRAINED: ["erm_m3l", *FOUR],
    "erm_m3l, 4 people": ["erm_m3l", *FOUR],
    "m3l_baseline, 4 people": ["m3l_baseline", *FOUR],
    "m3l, 4 people": ["m3l", *FOUR],
    "m3l_global_fc_baseline, 4 people": ["m3l_global_fc_baseline", *FOUR],
    "m3l_baseline, triplet alone, 4 people": ["m3l_baseline", *FOUR, ALONE],
    "erm_m3l, 4 people, warm": ["erm_m3l", *FOUR],
    "m3l_baseline, 4 people, warm": ["m3l_baseline", *FOUR],
    "m3l_baseline, triplet alone, 4 people, warm": ["m3l_baseline", *FOUR, ALONE],
}


@cache
def protocol() -> Protocol:
    return read_protocol(PROTOCOLS / "miniature")


@cache
def pack(dataset: str) -> Pack:
    return Pack.open(dataset, configuration("bin", 0).image)


def configuration(name: str, seed: int) -> RunConfig:
    method, *words = VARIANTS[name]
    if name.endswith(", warm"):
        words = [*words, f"recipe.weights={backbone_of('erm_m3l, 4 people', (seed + 1) % len(SEEDS))}"]
    return load_run(
        [f"method={method}", "backbone=resnet_tiny", "protocol=miniature", f"seed={seed}", *words]
    )


def targets(method: Method) -> dict[str, float]:
    """Rank-1 of the four targets and their average, per cent."""
    node = summarise(run_protocol(method, protocol(), pack, CPU))
    return {target: round(each["rank1"], 2) for target, each in node["targets"].items()} | {
        "average": round(node["average"]["rank1"], 2)
    }


def backbone_of(name: str, seed: int) -> Path:
    """The trained backbone of a run as a weight file; the model's hash in its name rules out an older one."""
    folder = RUNS / configuration(name, seed).run
    method, _ = restore(folder)
    model = sha256(folder / "model.safetensors")[:12]
    path = WEIGHTS / f"{name}-resnet_tiny-miniature-s{seed}-{model}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            state = method.network.backbone.state_dict()
            save_file({key: tensor.contiguous() for key, tensor in state.items()}, part)
    return path


def trained(name: str, seed: int) -> Method:
    """The run in eval mode, trained now if it is missing."""
    config = configuration(name, seed)
    if name == HELD_GATES:
        return with_held_gates(config, 0.5)
    if name == UNTRAINED:
        return begun(name, seed).eval()
    if not (RUNS / config.run).exists():
        train(config)
    return restore(RUNS / config.run)[0]


def prepared(config: RunConfig) -> tuple[Method, TrainingImages, Task]:
    """Build a seeded method as it is before training, with its training images and its task."""
    prepare(config.seed)
    rows, _ = read_training(PROTOCOLS / config.protocol.name)
    task = task_of(rows, config)
    method = build(config.method, config.backbone, config.recipe, task)
    return method, training_images(rows, config, method), task


def begun(name: str, seed: int) -> Method:
    """The method before its first iteration, its memory filled."""
    method, images, _ = prepared(configuration(name, seed))
    method.start(lambda: survey(images, CPU))
    return method


def with_held_gates(config: RunConfig, value: float) -> Method:
    """Train with all gates at `value`; the configuration's gate rate is too small to move them."""
    method, images, task = prepared(config)
    with torch.no_grad():
        for gate in gates_of(method).values():
            gate.fill_(value)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "last.pt", "")
        fit(method, lambda keys: batches(images, keys, CPU), task, checkpoint, task.iterations)
    return method.eval()
