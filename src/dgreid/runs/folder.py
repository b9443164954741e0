"""The folder of a trained run, data/runs/RUN: write it, and read its files checked.

run.yaml holds the hashes of the model and of the history, and is sealed itself; so is cost.json, which
differs between repetitions.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dgreid import sealed
from dgreid.errors import UserError
from dgreid.files import sha256

MODEL, FACTS, HISTORY, COST = "model.safetensors", "run.yaml", "history.csv", "cost.json"


def write(
    folder: Path,
    state: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    history: pd.DataFrame,
    cost: Mapping[str, Any],
) -> None:
    """Make the folder of a run: model.safetensors, run.yaml, history.csv, cost.json."""
    folder.mkdir()
    # not save_file, which hides the file from other users and a full disk's error from us
    (folder / MODEL).write_bytes(save(dict(state)))
    history.to_csv(folder / HISTORY, index=False)
    files = {name: sha256(folder / name) for name in (MODEL, HISTORY)}
    (folder / FACTS).write_text(sealed.to_yaml({**facts, "files": files}), encoding="utf-8")
    (folder / COST).write_text(sealed.to_json(cost), encoding="utf-8")


def read_facts(folder: Path) -> dict[str, Any]:
    """Read run.yaml; its `config` is a mapping.

    Raises:
        UserError: the file is missing, out of reach, damaged or from another version.
    """
    path = folder / FACTS
    with _reading(path, "damaged or from another version"):
        facts = sealed.read_yaml(path)
        if not isinstance(facts["config"], Mapping) or not isinstance(facts.get("files", {}), Mapping):
            raise TypeError
    return facts


def read_model(folder: Path, facts: Mapping[str, Any]) -> dict[str, Tensor]:
    """Read the trained tensors; `facts` are those of run.yaml, which know their hash.

    Raises:
        UserError: the file is missing, out of reach or damaged.
    """
    path = folder / MODEL
    with _reading(path, "damaged"):
        content = sealed.read_hashed(path, facts.get("files", {}).get(MODEL))
        try:
            return load(content)
        except SafetensorError as error:
            raise ValueError(str(error)) from error


def read_history(folder: Path, facts: Mapping[str, Any]) -> pd.DataFrame:
    """Read the history of a training: one row per hundredth of it.

    Raises:
        UserError: the file is missing, out of reach or damaged.
    """
    path = folder / HISTORY
    with _reading(path):
        frame = pd.read_csv(BytesIO(sealed.read_hashed(path, facts.get("files", {}).get(HISTORY))))
        numbers = frame.select_dtypes("number")
        times = [name for name in ("iteration", "epoch") if name in numbers and numbers[name].notna().all()]
        if len(numbers.columns) < len(frame.columns) or len(times) < 2:
            raise sealed.Damaged
        return frame


def read_cost(folder: Path) -> dict[str, Any]:
    """Read what the training of a run cost.

    Raises:
        UserError: the file is missing, out of reach or damaged.
    """
    path = folder / COST
    with _reading(path):
        return sealed.read_json(path)


def _reading(path: Path, other: str = "damaged") -> AbstractContextManager[None]:
    again = f"train the run again (`dvc repro train@{path.parent.name}`), or fetch it with `dvc checkout`"
    return sealed.reading(f"{path.parent}: its {path.name}", again, other)


def check_trained(folder: Path) -> None:
    """Refuse a folder without a model.

    Raises:
        UserError: there is none.
    """
    if not (folder / MODEL).is_file():
        raise UserError(
            f"{folder} holds no trained model: train the run first, or fetch it with `dvc checkout`."
        )
