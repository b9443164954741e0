"""The files of data/code: what is replaced, set aside and brought back."""

import json
import os
from pathlib import Path

import pytest

from dgreid.errors import UserError
from dgreid.selection import code
from helpers.copied import ERM, METABIN, MOBILE


def age(path: Path) -> None:
    """Date a file to the year 2001."""
    os.utime(path, (10**9, 10**9))


def test_files_are_replaced_only_if_they_change_and_come_back_with_their_date(copied):
    assert len(code.write(copied.matrix)) == len(list(code.CODE.rglob("*.json")))
    assert json.loads((code.CODE / f"train/{ERM}.json").read_text())["settings"]["method"]["name"] == "erm"
    for path in code.CODE.rglob("*.json"):
        age(path)
    assert code.write(copied.matrix) == []
    path = Path("params/method/metabin.yaml")
    path.write_text(path.read_text() + "margin: 0.25\n")
    trained = code.CODE / f"train/{METABIN}.json"
    assert trained in code.write(copied.matrix)
    assert trained.stat().st_mtime > 10**9 == (code.CODE / f"train/{ERM}.json").stat().st_mtime

    fewer = {**copied.matrix, "runs": {METABIN: copied.matrix["runs"][METABIN]}}
    code.write(fewer)
    assert [path.stem for path in (code.CODE / "train").iterdir()] == [METABIN]
    assert code.write(copied.matrix) == []
    assert (code.CODE / f"train/{MOBILE}.json").stat().st_mtime == 10**9
    assert not list(code.CODE_KEPT.rglob("*.json"))


def test_a_data_set_that_left_a_protocol_no_longer_counts_for_it(copied):
    left, other = code.MEMBERS / "miniature/viper.json", code.MEMBERS / "unselected/viper.json"
    own = code.MEMBERS / "miniature/mini_viper.json"
    for path in (left, other, own):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    code.write(copied.matrix)
    assert [path.exists() for path in (left, other, own)] == [False, True, True]


@pytest.mark.parametrize("drop", ["miniature/mini_grid", None])
def test_a_selection_older_than_its_protocols_is_one_sentence(copied, drop):
    old = {key: value for key, value in copied.matrix.items() if drop or key != "members"}
    if drop:
        old["members"] = {key: value for key, value in old["members"].items() if key != drop}
    with pytest.raises(UserError, match=r"disagree on data set \w+: write .* `dgreid select mine`") as caught:
        code.write(old)
    assert "\n" not in str(caught.value) and not code.CODE.exists()
