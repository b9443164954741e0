"""Save the whole state of a run in one file, so that a killed run resumes as if it had not been killed."""

import hashlib
import json
import logging
import pickle
import platform
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dgreid.device import threads
from dgreid.files import whole
from dgreid.methods.base import Method

log = logging.getLogger(__name__)


def fingerprint(
    settings: Mapping[str, Any], code: Mapping[str, str], data: str, method: Method, device: torch.device
) -> str:
    """Hash everything that decides the bits of a run.

    Configuration, code (the digests of `selection.code.executed`), data (the hash of the training rows, which
    name every image by its pixels), untrained weights, versions, threads, device.
    """
    facts = [
        settings,
        data,
        state_hash(method),
        code,
        [platform.python_version(), torch.__version__, np.__version__],
        [str(device), threads()],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def state_hash(method: Method) -> str:
    """Hash all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in method.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


class Checkpoint:
    """The checkpoint file of one run, in its own folder; a file with another fingerprint is ignored."""

    def __init__(self, path: Path, fingerprint: str):
        self.path, self.fingerprint = path, fingerprint

    def save(self, method: Method, progress: dict[str, Any]) -> None:
        """Write weights, optimisers, random states and `progress`; the file is complete or absent."""
        state = {
            "fingerprint": self.fingerprint,
            "method": method.state_dict(),
            "optimisers": {name: each.state_dict() for name, each in method.optimisers.items()},
            "random": random_state(),
            "progress": progress,
        }
        with whole(self.path) as part:
            torch.save(state, part)

    def load(self, method: Method) -> dict[str, Any] | None:
        """Restore the method and the random states; return `progress`, or None if there is no checkpoint."""
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            log.warning("%s cannot be read (%s): training starts over.", self.path, error)
            return None
        if state["fingerprint"] != self.fingerprint:
            log.info("%s was written with other code, data or settings: training starts over.", self.path)
            return None
        method.load_state_dict(state["method"])
        for name, each in method.optimisers.items():
            each.load_state_dict(state["optimisers"][name])
        set_random_state(state["random"])
        return state["progress"]

    def remove(self) -> None:
        """Delete the checkpoint and its folder, once the run is complete."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


def random_state() -> dict[str, Any]:
    """Return the global random states of Python, NumPy and torch, in types that load without pickle."""
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the states that `random_state` returned."""
    random.setstate(state["python"])
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(state["torch"])
    torch.cuda.set_rng_state_all(state["cuda"])
