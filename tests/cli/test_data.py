import pytest

from dgreid.cli import main as cli


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ("viper", "dgreid adopt viper --from PATH"),
        ("dukemtmc", "withdrawn"),
        ("mini_grid", "dgreid synthesize"),
    ],
)
def test_download_says_where_to_ask_and_that_is_no_error(root, capsys, dataset, sentence):
    assert cli.main(["download", dataset]) == 0
    said = capsys.readouterr()
    assert sentence in said.out and "error" not in said.err


def test_data_adopted_elsewhere_are_found_through_a_link(crops):
    entry = crops / "data/raw/wide"
    for place in ("one", "two"):
        words = ["adopt", "wide", "--from", str(crops / "source/wide"), "--to", str(crops / place)]
        assert cli.main(words) == 0
        assert entry.is_symlink() and entry.resolve() == crops / place / "wide"
    assert cli.main(["manifest", "dataset=wide"]) == 0
    assert (crops / "data/manifests/wide/images.parquet").is_file()
    # adopted here, the link gives way to the folder, and what it led to stays
    assert cli.main(["adopt", "wide", "--from", str(crops / "source/wide")]) == 0
    assert not entry.is_symlink() and (entry / "adopted.json").is_file()
    assert (crops / "two/wide/adopted.json").is_file()


def test_a_folder_in_data_raw_is_not_replaced_by_a_link(crops, capsys):
    assert cli.main(["adopt", "wide", "--from", "source/wide"]) == 0
    assert cli.main(["adopt", "wide", "--from", "source/wide", "--to", "elsewhere"]) == 1
    assert "data/raw/wide is a folder" in capsys.readouterr().err
    assert not (crops / "elsewhere").exists() and (crops / "data/raw/wide/adopted.json").is_file()
