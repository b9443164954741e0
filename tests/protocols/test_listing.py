"""The list of protocols: counts, what is here, what to run for the rest."""

import json
import re
import shutil

import pytest

from dgreid.cli import main as cli
from dgreid.params import names as choices
from dgreid.protocols.config import load_protocol
from dgreid.protocols.listing import availability, protocols_table

OPEN = ("market1501", "cuhk01", "caviar4reid", "threedpes", "grid", "ilids")


@pytest.fixture
def adopt(tmp_path):
    """adopt(name, kind): the record of an adopted data set below tmp_path/raw."""

    def make(name, kind="full", missing=(), **more):
        (tmp_path / "raw" / name / "files").mkdir(parents=True)
        record = {"kind": kind, "root": "files", "missing": missing, "source": f"{name}.zip"}
        record |= {"counts": {"images": 1264, "ids": 632}} | more
        (tmp_path / "raw" / name / "adopted.json").write_text(json.dumps(record))

    return make


@pytest.fixture
def show(root, tmp_path):
    """show(name): the row of a protocol or data set, its wrapped lines joined."""

    def make(name):
        text = protocols_table(tmp_path / "raw", tmp_path / "archives")
        row = re.search(rf"^{name}  .*\n((?:  .*\n)*)", text, re.M)
        return " ".join(row[0].split())

    return make


def test_every_protocol_is_listed_and_fits_the_terminal(root, tmp_path):
    lines = protocols_table(tmp_path, tmp_path).splitlines()
    names = {line.split()[0] for line in lines if line and not line.startswith(" ")}
    assert set(choices("protocol")) <= names
    assert max(map(len, lines)) <= 120
    assert not any(line != line.rstrip() or re.match(r"\s+,", line) for line in lines)


def test_a_row_states_counts_sources_and_targets(show):
    row = show("m3l_market")
    assert row.startswith("m3l_market 3,110 75,406 3 msmt17:official_with_val, Market 3,368/15,913 ")
    for piece in ("dukemtmc:official,", "cuhk03_both:classic_both"):
        assert piece in row
    assert "by camera" in show("metabin_d2m") and "dukemtmc:official" in show("metabin_d2m")


def test_nothing_here(show):
    assert "lacks dukemtmc, msmt17" in show("m3l_single_d")
    assert show("dukemtmc") == "dukemtmc missing withdrawn dgreid adopt dukemtmc --from PATH --acknowledge"
    assert show("cuhk03") == "cuhk03 missing agreement dgreid adopt cuhk03 --from PATH"
    assert "ready to generate" in show("miniature")
    assert show("mini_grid") == "mini_grid to generate drawn dgreid synthesize dataset=mini_grid"


def test_what_is_adopted(show, adopt):
    adopt("dukemtmc")
    assert show("m3l_single_d").endswith("MSMT17 11,659/82,161 lacks msmt17")
    adopt("msmt17")
    assert show("m3l_single_d").endswith("MSMT17 11,659/82,161 ready, full")
    assert show("msmt17") == "msmt17 full request 1,264 images, 632 ids; from msmt17.zip"


def test_partial_data_are_enough_for_some(show, adopt):
    adopt("market1501", "partial", ["query", "bounding_box_test"])
    assert "1,264 images, 632 ids; from market1501.zip; lacks query, bounding_box_test" in show("market1501")
    assert "market1501 partial" in show("supervised_market")
    for name in OPEN[1:]:
        adopt(name)
    assert "ready, partial" in show("open_small")


def test_a_drawn_archive_counts_and_a_lost_folder_does_not(show, adopt, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/mini_grid.zip").touch()
    assert show("mini_grid") == "mini_grid miniature drawn generated"
    adopt("viper")
    assert show("viper").startswith("viper full")
    (tmp_path / "raw/viper/files").rmdir()
    assert show("viper").startswith("viper missing")


def test_targets_show_query_gallery_and_splits(show):
    row = show("lda_p1")
    for target in ("VIPeR 316/316 x10,", "PRID 100/649 x10,", "GRID 125/900 x10,", "iLIDS 60/60 x10"):
        assert target in row
    assert "Market 90/220," in show("miniature_single")


@pytest.mark.parametrize(
    "record",
    ["[]", "not json", "{}", '{"kind": "full"}', '{"kind": "full", "root": "files", "source": "x"}', "null"],
)
def test_an_odd_record_does_not_stop_the_list(show, tmp_path, record):
    (tmp_path / "raw/viper/files").mkdir(parents=True)
    (tmp_path / "raw/viper/adopted.json").write_text(record)
    assert show("viper").startswith("viper full" if "root" in record else "viper missing")
    assert "ready to generate" in show("miniature")


def test_broken_files_of_params_are_named_and_hide_nothing(root, tmp_path, monkeypatch):
    shutil.copytree("params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    protocol = tmp_path / "params/protocol"
    (protocol / "m3l_duke.yaml").write_text("title: [")
    single = (protocol / "m3l_single_d.yaml").read_text()
    (protocol / "strange.yaml").write_text(single.replace("[dukemtmc:official]", "[{dataset: duke}]"))
    (protocol / "wrong.yaml").write_text(single.replace("dukemtmc:", "dukemtm:"))
    (tmp_path / "params/dataset/viper.yaml").write_text("titel: VIPeR")
    text = protocols_table(tmp_path / "raw", tmp_path / "archives")
    rows = {line.split()[0]: line for line in text.splitlines() if line and not line.startswith(" ")}
    assert "m3l_duke" not in rows and "m3l_market" in rows and "lacks duke," in rows["strange"]
    said = [line for line in text.splitlines() if line.startswith("not listed: ")]
    assert len(said) == 4 and "m3l_duke" in said[0]
    assert "dataset in protocol wrong: 'dukemtm': did you mean 'dukemtmc'?" in said[1]
    assert "unknown dataset 'duke'" in text and "viper.title is missing, is 'titel' meant?" in text


def test_ready_lists_only_what_is_all_here(root, adopt, tmp_path):
    def names():
        text = protocols_table(tmp_path / "raw", tmp_path / "archives", ready=True)
        return {line.split()[0] for line in text.splitlines() if re.match(r"[a-z]\w+  ", line)} & {
            *choices("protocol")
        }

    drawn = {name for name in choices("protocol") if name.startswith("miniature")}
    assert names() == drawn
    for name in ("dukemtmc", "msmt17"):
        adopt(name)
    assert names() == drawn | {"m3l_single_d"}


def test_ready_with_nothing(root, tmp_path, monkeypatch):
    from dgreid.protocols import listing

    monkeypatch.setattr(listing, "choices", lambda group: ["m3l_single_d"])
    assert protocols_table(tmp_path, tmp_path, ready=True) == listing.NONE_READY


def test_command(root, capsys):
    assert cli.main(["protocols", "--ready"]) == 0
    out = capsys.readouterr().out
    assert "miniature" in out and "lacks" not in out.split("data set")[0]
    assert cli.main(["protocols"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("protocol") and "lda_p1_duke" in out


@pytest.mark.parametrize("variant", ["crops_a", "crops_b"])
def test_another_variant_than_the_pinned_one_is_not_ready(root, adopt, tmp_path, variant):
    config = load_protocol("metabin_dg")
    for name in {part.dataset for part in (*config.sources, *config.targets)}:
        found = {"cuhksysu": variant} | {"cuhk03": "detected"}
        adopt(name, variants=[found.get(name, "original")])
    said = {"crops_b": "ready, full", "crops_a": "cuhksysu is crops_a, not crops_b"}[variant]
    assert config.variants["cuhksysu"] == "crops_b"
    assert availability(config, tmp_path / "raw", tmp_path / "archives") == said


def test_without_the_split_set_it_is_not_ready_and_the_missing_file_is_named(show, adopt, tmp_path):
    config = load_protocol("m3l_np_market")
    file = "cuhk03_new_protocol_config_detected.mat"
    for name in {part.dataset for part in (*config.sources, *config.targets)} - {"cuhk03"}:
        adopt(name)
    adopt("cuhk03", split_sets=["cuhk03/classic_detected"], lacks=[file])
    said = availability(config, tmp_path / "raw", tmp_path / "archives")
    assert said == "cuhk03 without np_detected"
    assert show("cuhk03").endswith(f"without {file}")
