"""A trained run, as train leaves it, and folders of random crops, for tests of what one does with a run."""

from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from dgreid.methods.base import Method, Task
from dgreid.paths import RUNS
from dgreid.runs.config import RunConfig
from dgreid.runs.run import build, record
from helpers import tiny


def make(name: str, config: RunConfig, seed: int = 0) -> Method:
    """Write data/runs/NAME below the working folder; its method in eval mode."""
    membership = torch.ones(2, 4, dtype=torch.bool)
    size = config.image.height, config.image.width
    task = Task(4, 2, 2, 2, membership, size)
    torch.manual_seed(seed)
    method = build(config.method, config.backbone, config.recipe, task)
    method.train()
    for _ in range(3):  # running statistics and gates that are not what they start as
        method.embed(torch.randn(8, 3, *size, dtype=method.dtype) * 2 + 0.3)
    for parameter_name, parameter in method.named_parameters():
        if parameter_name.endswith("balance"):
            torch.nn.init.uniform_(parameter, 0, 1)
    folder = RUNS / name
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous() for key, value in method.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "run.yaml").write_text(yaml.safe_dump(record(config, task, {})))
    return method.eval()


def crops(folder: Path, names: list[str], seed: int = 0) -> Path:
    """Random pictures under these names."""
    rng = np.random.default_rng(seed)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (tiny.HEIGHT, tiny.WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, format="PNG")  # whatever the suffix: nothing is lost
    return folder
