import shutil

import yaml

from dgreid.cli import main as cli
from dgreid.selection import matrix


def test_select_writes_every_run_with_its_own_choices(root, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    assert cli.main(["select", "miniature", "methods=[erm]", "seeds=[0,7]"]) == 0
    written = yaml.safe_load((tmp_path / "matrix.yaml").read_text())
    assert list(written["runs"]) == ["erm-resnet_tiny-miniature-s0", "erm-resnet_tiny-miniature-s7"]
    assert written["runs"]["erm-resnet_tiny-miniature-s7"]["seed"] == 7
    assert written["datasets"]["mini_grid"]["source"] == "data/archives/mini_grid.zip"
    assert set(written["drawn"]) == set(written["datasets"])


def test_select_says_which_data_are_still_to_be_brought(root, tmp_path, monkeypatch, caplog):
    shutil.copytree("params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "data/raw/grid/adopted.json"
    here.parent.mkdir(parents=True)
    here.touch()
    with caplog.at_level("INFO"):
        assert cli.main(["select", "open_small"]) == 0
    asked = [line for line in caplog.messages if "--from PATH" in line]
    names = set(yaml.safe_load((tmp_path / "params/matrix.yaml").read_text())["datasets"]) - {"grid"}
    assert [line.split("adopt ")[1].split()[0] for line in asked] == sorted(names)
    caplog.clear()
    with caplog.at_level("INFO"):
        assert cli.main(["select", "miniature"]) == 0
    assert "--from PATH" not in caplog.text
