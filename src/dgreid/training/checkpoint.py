"""Save the whole state of a run in one file, so that a killed run resumes as if it had not been killed."""

import hashlib
import json
import logging
import os
import platform
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dgreid import sealed
from dgreid.device import threads
from dgreid.errors import UserError
from dgreid.files import check_plain, whole
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
    """The checkpoint file of one run, in its own folder.

    A file that is damaged is not used. One of other settings, code or data is kept beside until the run is
    complete, because whoever takes a change back wants to resume from it.
    """

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
            with open(part, "wb") as file:  # torch's own writing does not say why it failed
                torch.save(state, file)
                file.write(sealed.PLACE)
            sealed.seal(part)

    def load(self, method: Method) -> dict[str, Any] | None:
        """Restore the method and the random states; return `progress`, or None if there is no checkpoint.

        Raises:
            UserError: the system refuses to read the file, which may be whole.
        """
        state = self._find()
        if state is None:
            return None
        method.load_state_dict(state["method"])
        for name, each in method.optimisers.items():
            each.load_state_dict(state["optimisers"][name])
        set_random_state(state["random"])
        return state["progress"]

    def _find(self) -> dict[str, Any] | None:
        """Find this run's state, in its file or one kept before; set a file of other settings aside."""
        state, kept = self._read(self.path), self._aside(self.fingerprint)
        if state is not None and state["fingerprint"] == self.fingerprint:
            return state
        if state is not None:
            aside = self._aside(state["fingerprint"])
            os.replace(self.path, aside)
            for older in self.path.parent.glob("other-*.pt"):
                if older not in (aside, kept):
                    older.unlink()
            log.info(
                "%s was written with other code, data or settings: training starts over. It is kept as %s "
                "until this run is complete.",
                self.path,
                aside.name,
            )
        if (state := self._read(kept)) is not None:
            log.info("%s was written with the present code, data and settings.", kept)
        return state

    def _aside(self, fingerprint: str) -> Path:
        return self.path.with_name(f"other-{fingerprint[:12]}.pt")

    def _read(self, path: Path) -> dict[str, Any] | None:
        """Read a checkpoint; None if there is none, or a damaged one."""
        if not os.path.lexists(path):
            return None
        check_plain(path)
        try:
            with sealed.reading(path, "training starts over", "damaged, or not a checkpoint of this version"):
                if not sealed.check(path):
                    raise ValueError("it has no seal")
                return torch.load(path, map_location="cpu", weights_only=True)
        except sealed.Unreadable:
            raise
        except UserError as error:
            log.warning("%s", error)
            return None

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
